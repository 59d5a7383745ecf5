"""Models: fetched, converted, verified and loaded."""
