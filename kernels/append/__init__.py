"""Writes a chunk of tokens behind the segments of a flat cache."""

from torch import Tensor

from ..backend import Backend
from ..segments import Segments
from .floor import floor_bytes
from .naive import append as _naive

__all__ = ["append", "floor_bytes"]


def append(
    keys: Tensor,
    values: Tensor,
    segments: Segments,
    new_keys: Tensor,
    new_values: Tensor,
    new_lengths: Tensor,
    *,
    backend: Backend = "torch",
) -> None:
    """Write the first `new_lengths[b]` tokens of row b's chunk into the slots after those in use.

    Args:
        keys: [S, D], written in place.
        values: [S, D], written in place.
        segments: Before the chunk, with room for it; on the CPU for torch, on any device for Triton.
        new_keys: [B, H, Q, D].
        new_values: [B, H, Q, D].
        new_lengths: int64 [B], 0 to Q; where the segments are.
        backend: How it is done.
    """
    if backend == "torch":
        _naive(keys, values, segments, new_keys, new_values, new_lengths)
        return
    from .triton import append as kernel

    kernel(keys, values, segments, new_keys, new_values, new_lengths)
