"""Which positions each head keeps."""

from .naive import Kept, select

__all__ = ["Kept", "select"]
