"""The Triton kernel that merges partial results of attention."""

# mypy: allow-untyped-decorators

import triton
from triton import language as tl


@triton.jit(do_not_specialize=["n_heads", "n_queries", "n_rows"], do_not_specialize_on_alignment=["of_segment"])
def merge_kernel(
    partial: tl.tensor,
    sums: tl.tensor,
    of_segment: tl.tensor,
    sinks: tl.tensor,
    out: tl.tensor,
    lse: tl.tensor,
    n_heads: tl.tensor,
    n_queries: tl.tensor,
    n_rows: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_D: tl.constexpr,
    SINKS: tl.constexpr,
) -> None:
    """The output [B, Q, HQ, D] and log-sum-exp float32 [B, HQ, Q] from those of each segment's items, and the sinks.

    Reads and writes each number once. Grid: (B * H, tiles of query rows): rows share nothing, and there are few of them
    while a step decodes. Several items are loaded at once, since one segment may have nearly all of them.

    Args:
        partial: float32 [items, G * Q, D].
        sums: float32 [items, G * Q].
        of_segment: int32 [B * H + 1].
        sinks: [HQ], if SINKS.
        out: [B, Q, HQ, D].
        lse: float32 [B, HQ, Q].
        n_heads: H.
        n_queries: Q.
        n_rows: G * Q.
        DIM: D.
        BLOCK_R: Query rows of a tile.
        BLOCK_I: Items loaded at once.
        BLOCK_D: D rounded up to a power of two.
        SINKS: Whether there are sinks.
    """
    segment, row = tl.program_id(0), tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)
    real = row < n_rows
    query_head = segment % n_heads * (n_rows // n_queries) + row // n_queries
    dims, steps = tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_I)
    last = tl.load(of_segment + segment + 1)
    top, total = tl.full([BLOCK_R], float("-inf"), tl.float32), tl.zeros([BLOCK_R], tl.float32)
    if SINKS:
        top, total = tl.load(sinks + query_head, real, 0).to(tl.float32), total + 1
    result = tl.zeros([BLOCK_R, BLOCK_D], tl.float32)
    for item in range(tl.load(of_segment + segment), last, BLOCK_I):
        at = (item + steps).to(tl.int64)[None, :] * n_rows + row[:, None]
        here = (item + steps < last)[None, :] & real[:, None]
        part_lse = tl.load(sums + at, here, float("-inf"))
        of_part = here[:, :, None] & (dims < DIM)[None, None, :]
        part = tl.load(partial + at[:, :, None] * DIM + dims[None, None, :], of_part, 0)
        higher = tl.maximum(top, tl.max(part_lse, axis=1))
        finite = tl.where(higher == float("-inf"), 0, higher)
        weights, kept = tl.exp(part_lse - finite[:, None]), tl.exp(top - finite)
        total = total * kept + tl.sum(weights, axis=1)
        result = result * kept[:, None] + tl.sum(weights[:, :, None] * part, axis=1)
        top = higher
    some = tl.where(total > 0, total, 1)
    n_query_heads = n_heads * (n_rows // n_queries)
    batch, token = (segment // n_heads).to(tl.int64), row % n_queries
    place = ((batch * n_queries + token) * n_query_heads + query_head)[:, None] * DIM + dims[None, :]
    rounded = (result / some[:, None]).to(out.dtype.element_ty)
    tl.store(out + place, rounded, real[:, None] & (dims < DIM)[None, :])
    sums_place = (batch * n_query_heads + query_head) * n_queries + token
    tl.store(lse + sums_place, tl.where(total > 0, top + tl.log(some), float("-inf")), real)
