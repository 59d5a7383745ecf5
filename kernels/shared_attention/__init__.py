"""Attention of a batch of rows over one shared context and a tail of each row's own."""

from .naive import shared_attention

__all__ = ["shared_attention"]
