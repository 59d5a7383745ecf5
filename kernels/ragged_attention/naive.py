"""Ragged attention, plain torch: the truth that any faster form is held against."""

import torch
from torch import Tensor


def ragged_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    starts: Tensor,
    lengths: Tensor,
    new_lengths: Tensor,
    scale: float,
) -> Tensor:
    """Attend a chunk of queries to one segment per (sequence, KV head).

    The newest `new_lengths[b]` tokens of each segment of sequence b belong to the chunk itself: query i sees
    everything before them and the first i + 1 of them. Rows of `query` past `new_lengths[b]` give values
    without meaning.

    All arithmetic is in float32, so half precision neither overflows nor rounds in between.

    Args:
        query: [B, HQ, Q, D], Q >= 1.
        keys: [S, D], flat; rows outside the segments are never read.
        values: [S, D].
        starts: int64 [B, H], first row of each segment, on the CPU.
        lengths: int64 [B, H], tokens in each segment, the chunk included, on the CPU.
        new_lengths: int64 [B], tokens of the chunk in each sequence, 0 to Q, on the CPU.
        scale: Factor on the dot products.

    Returns:
        [B, Q, HQ, D], in the dtype of `query`.
    """
    n_batch, n_query_heads, n_queries, dim = query.shape
    n_heads = starts.shape[1]
    group = n_query_heads // n_heads
    out = query.new_empty(n_batch, n_heads, group, n_queries, dim)
    start_rows, segment_lengths, new = starts.tolist(), lengths.tolist(), new_lengths.tolist()
    for b in range(n_batch):
        for h in range(n_heads):
            start, length = start_rows[b][h], segment_lengths[b][h]
            q = query[b, h * group : (h + 1) * group].reshape(group * n_queries, dim).float() * scale
            logits = q @ keys[start : start + length].float().T
            if n_queries > 1:
                logits.view(group, n_queries, length).masked_fill_(
                    _future(n_queries, length, new[b], query.device), float("-inf")
                )
            weights = torch.softmax(logits, dim=-1)
            out[b, h] = (weights @ values[start : start + length].float()).view(group, n_queries, dim)
    return out.permute(0, 3, 1, 2, 4).reshape(n_batch, n_queries, n_query_heads, dim)


def _future(n_queries: int, length: int, new: int, device: torch.device) -> Tensor:
    """Bool [Q, length]: True where a key comes after the query."""
    last_seen = torch.arange(n_queries, device=device) + (length - new)
    return torch.arange(length, device=device) > last_seen.unsqueeze(-1)
