"""Scorers: each ranks the cached tokens inside a KV head."""
