"""Attention of a batch of rows over one shared context and a tail for each row."""

from .naive import shared_attention

__all__ = ["shared_attention"]
