"""Profiles: made, found, verified, exported."""
