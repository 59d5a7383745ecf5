"""Norm of the values after the output projection."""

from .naive import projected_norm

__all__ = ["projected_norm"]
