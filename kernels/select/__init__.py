"""Which positions each head keeps."""

from .naive import Kept, keep_ranked, rank, select, stack

__all__ = ["Kept", "keep_ranked", "rank", "select", "stack"]
