"""KeyDiff's scores."""

from torch import Tensor

from ..backend import Backend
from .floor import floor_bytes
from .naive import keydiff as _naive

__all__ = ["floor_bytes", "keydiff"]


def keydiff(keys: Tensor, *, backend: Backend = "torch") -> Tensor:
    """Minus the cosine of the angle between each key and the mean of its head's unit keys.

    A key of zero has no direction: its unit key is zero, and so is its score.

    Args:
        keys: [B, H, T, D], T >= 1.
        backend: How it is computed; Triton's form is within 2e-6 of float64.

    Returns:
        float32 [B, H, T].
    """
    if backend == "torch":
        return _naive(keys)
    from .triton import keydiff as form

    return form(keys)
