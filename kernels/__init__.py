"""Stores and ops for ragged KV caches. Imports nothing: see docs/decisions/001-root-is-the-package.md."""

__version__ = "0"
