"""Identities of recorded things: configurations, environments, content hashes."""
