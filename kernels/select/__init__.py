"""Which positions each head keeps."""

from .naive import Kept, select, stack

__all__ = ["Kept", "select", "stack"]
