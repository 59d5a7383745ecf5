"""Copies the kept slots of a layer into ragged segments."""

from torch import Tensor

from ..backend import Backend
from ..segments import Segments
from ..select import Kept
from .floor import floor_bytes
from .naive import compact as _naive

__all__ = ["compact", "floor_bytes"]


def compact(
    keys: Tensor, values: Tensor, kept: Kept, segments: Segments, *, backend: Backend = "torch"
) -> tuple[Tensor, Tensor]:
    """Flat keys and values with the kept tokens of each (row, KV head) in its segment, ascending.

    Args:
        keys: [B, H, T, D]; B = 1 serves any number of rows, and is not expanded over them.
        values: [B, H, T, D].
        kept: Which positions stay in each row, on the device of the keys.
        segments: Where each (row, head) lies in the result, as long as what it keeps, packed.
        backend: How it is done; every form copies the same tokens.

    Returns:
        Keys and values [S, D], S the sum of the capacities. Slots not in use hold anything.
    """
    if backend == "torch":
        return _naive(keys, values, kept, segments)
    from .triton import compact as form

    return form(keys, values, kept, segments)
