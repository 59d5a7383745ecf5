"""Attention over a flat cache with one segment per (sequence, KV head)."""

from torch import Tensor

from ..backend import Backend
from ..form import Form
from ..segments import Segments
from .floor import floor_bytes
from .naive import ragged_attention as _naive
from .plan import Plan

__all__ = ["floor_bytes", "ragged_attention"]


def ragged_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    segments: Segments,
    new_lengths: Tensor,
    form: Form,
    *,
    with_lse: bool = False,
    backend: Backend = "torch",
    plan: Plan | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Attend a chunk of queries to one segment per (row, KV head).

    The newest `new_lengths[b]` tokens of each segment of row b belong to the chunk itself: query i sees
    everything before them and the first i + 1 of them. The results of queries past `new_lengths[b]` are undefined. An
    empty segment gives 0 and a log-sum-exp of -inf, or of the sink where there is one.

    In torch all arithmetic is in float32, so half precision neither overflows nor rounds in between, and the
    log-sum-exp is exact to 5e-7 of the largest one. Triton rounds the softmax weights to the type of the values before
    it multiplies them.

    Args:
        query: [B, HQ, Q, D], Q >= 1.
        keys: [S, D], flat; slots not in use are never read.
        values: [S, D].
        segments: Of B rows and H heads, the chunk included; on the CPU for torch, on any device for Triton.
        new_lengths: int64 [B], tokens of the chunk in each row, 0 to Q; where the segments are. Where it is 0 every
            query sees the whole segment, as far as the window reaches from its last slot.
        form: Scale and options.
        with_lse: Whether the log-sum-exp is returned.
        backend: How it is computed.
        plan: How Triton's programs share the work, on the query's device; None = it is planned from the lengths, which
            waits for the device where they are on one.

    Returns:
        The output [B, Q, HQ, D] in the dtype of `query`, and the log-sum-exp of the logits float32 [B, HQ, Q] or None.
    """
    if backend == "torch":
        return _naive(query, keys, values, segments, new_lengths, form, with_lse=with_lse)
    from .triton import ragged_attention as kernels

    out, lse = kernels(query, keys, values, segments, new_lengths, form, plan)
    return out, lse if with_lse else None
