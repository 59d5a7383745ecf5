"""Ragged attention in plain torch: the reference for any faster form."""

import torch
from torch import Tensor

from ..segments import Segments


def ragged_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    segments: Segments,
    new_lengths: Tensor,
    scale: float,
    *,
    with_lse: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attend a chunk of queries to one segment per (row, KV head).

    The newest `new_lengths[b]` tokens of each segment of row b belong to the chunk itself: query i sees
    everything before them and the first i + 1 of them. The results of queries past `new_lengths[b]` are undefined. An
    empty segment gives 0 and a log-sum-exp of -inf.

    All arithmetic is in float32, so half precision neither overflows nor rounds in between. The log-sum-exp is exact
    to 5e-7 of the largest one.

    Args:
        query: [B, HQ, Q, D], Q >= 1.
        keys: [S, D], flat; slots not in use are never read.
        values: [S, D].
        segments: Of B rows and H heads, the chunk included.
        new_lengths: int64 [B] on the CPU, tokens of the chunk in each row, 0 to Q. Where it is 0 every query sees the whole
            segment.
        scale: Factor on the dot products.
        with_lse: Whether the log-sum-exp is computed.

    Returns:
        The output [B, Q, HQ, D] in the dtype of `query`, and the log-sum-exp of the logits float32 [B, HQ, Q] or None.
    """
    n_batch, n_query_heads, n_queries, dim = query.shape
    n_heads = segments.starts.shape[1]
    group = n_query_heads // n_heads
    queries = (query.float() * scale).reshape(n_batch * n_heads, group, n_queries, dim)
    out = torch.empty_like(queries)
    lse = queries.new_full(queries.shape[:3], float("-inf")) if with_lse else None
    new = new_lengths.tolist()
    future = {n: torch.ones(n, n, dtype=torch.bool, device=query.device).triu(1).repeat(group, 1) for n in {*new}}
    for number, (q, k, v) in enumerate(zip(queries, segments.split(keys), segments.split(values), strict=True)):
        n_new = new[number // n_heads]
        used = n_new or n_queries
        if not len(k):
            out[number] = 0
            continue
        logits = q[:, :used].flatten(0, 1) @ k.float().T
        if n_new > 1:  # all that came before the chunk is seen
            logits[:, len(k) - n_new :].masked_fill_(future[n_new], float("-inf"))
        weights = torch.softmax(logits, dim=-1)
        out[number, :, :used] = (weights @ v.float()).view(group, used, dim)
        if lse is not None:
            lse[number, :, :used] = logits.logsumexp(dim=-1).view(group, used)
    out = out.to(query.dtype).view(n_batch, n_heads, group, n_queries, dim)
    return (
        out.permute(0, 3, 1, 2, 4).reshape(n_batch, n_queries, n_query_heads, dim),
        None if lse is None else lse.view(n_batch, n_query_heads, n_queries),
    )
