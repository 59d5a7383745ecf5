"""Plugins: found by entry point, checked against their contract, built from the user's text."""
