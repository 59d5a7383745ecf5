"""Ragged attention in plain torch: the reference for any faster form."""

import torch
from torch import Tensor

from ..segments import Segments


def ragged_attention(
    query: Tensor, keys: Tensor, values: Tensor, segments: Segments, new_lengths: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
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
        new_lengths: int64 [B] on the CPU, tokens of the chunk in each row, 0 to Q.
        scale: Factor on the dot products.

    Returns:
        The output [B, Q, HQ, D] in the dtype of `query`, and the log-sum-exp of the logits float32 [B, HQ, Q].
    """
    n_batch, n_query_heads, n_queries, dim = query.shape
    n_heads = segments.starts.shape[1]
    group = n_query_heads // n_heads
    queries = (query.float() * scale).reshape(n_batch * n_heads, group * n_queries, dim).unbind()
    new = new_lengths.tolist()
    outs, logit_maxima, weight_maxima = [], [], []
    for number, (q, k, v) in enumerate(zip(queries, segments.split(keys), segments.split(values), strict=True)):
        if not len(k):
            outs.append(torch.zeros_like(q))
            logit_maxima.append(q.new_full((len(q),), float("-inf")))
            weight_maxima.append(q.new_ones(len(q)))
            continue
        logits = q @ k.float().T
        if n_queries > 1:
            future = _future(n_queries, len(k), new[number // n_heads], query.device)
            logits.view(group, n_queries, len(k)).masked_fill_(future, float("-inf"))
        weights = torch.softmax(logits, dim=-1)
        outs.append(weights @ v.float())
        logit_maxima.append(logits.amax(dim=-1))
        weight_maxima.append(weights.amax(dim=-1))
    # The largest weight is exp(largest logit - lse).
    lse = torch.stack(logit_maxima) - torch.stack(weight_maxima).log()
    out = torch.stack(outs).to(query.dtype).view(n_batch, n_heads, group, n_queries, dim)
    return (
        out.permute(0, 3, 1, 2, 4).reshape(n_batch, n_queries, n_query_heads, dim),
        lse.view(n_batch, n_query_heads, n_queries),
    )


def _future(n_queries: int, length: int, new: int, device: torch.device) -> Tensor:
    """Bool [Q, length]: True where a key comes after the query."""
    last_position = torch.arange(n_queries, device=device) + (length - new)
    return torch.arange(length, device=device) > last_position.unsqueeze(-1)
