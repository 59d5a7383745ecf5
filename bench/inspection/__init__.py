"""One eviction, looked at: what it keeps, drawn over heads and over the text."""
