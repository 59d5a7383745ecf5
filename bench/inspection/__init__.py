"""Inspects one eviction: what it keeps, drawn over heads and over the text."""
