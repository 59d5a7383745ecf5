"""Attention over a flat cache with one segment per (sequence, KV head)."""

from .naive import ragged_attention

__all__ = ["ragged_attention"]
