"""Plugins: found by entry point, held to their contract, built from what the user typed."""
