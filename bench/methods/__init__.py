"""From a method to what is kept: its budget resolved, its slots allocated, its positions selected, its events."""
