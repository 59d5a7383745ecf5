"""Which positions each head keeps."""

from torch import Tensor

from ..backend import Backend
from .floor import floor_bytes
from .naive import Kept, keep_ranked, rank, stack

__all__ = ["Kept", "floor_bytes", "keep_ranked", "rank", "select", "select_layers", "stack"]


def select(scores: Tensor, counts: Tensor, protected: Tensor, *, backend: Backend = "torch") -> Kept:
    """Keep the `counts` best positions of every head, protected ones first (see `rank`).

    Args:
        scores: float32 [B, H, T], higher = keep, no NaN.
        counts: int64 [B, H], 0 to T; where it is at least the number of protected positions, all of them are kept.
        protected: bool [T], kept regardless of their score; charged inside `counts`.
        backend: How it is computed; every form keeps the same positions.
    """
    (kept,) = select_layers(scores.unsqueeze(0), counts.unsqueeze(0), protected, backend=backend)
    return kept


def select_layers(scores: Tensor, counts: Tensor, protected: Tensor, *, backend: Backend = "torch") -> list[Kept]:
    """`select` for all layers of a context and several configurations at once.

    Args:
        scores: float32 [L, B, H, T], or [L, 1, H, T] for all B rows of `counts`, which are then not copied for each.
        counts: int64 [L, B, H], 0 to T.
        protected: bool [T].
        backend: How it is computed.

    Returns:
        A selection for each of the L layers.
    """
    if backend == "torch":
        return keep_ranked(rank(scores, protected), counts)
    from .triton import select_layers as form

    return form(scores, counts, protected)
