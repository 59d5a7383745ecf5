"""Shared-context attention in plain torch: the reference for any faster form."""

import torch
from torch import Tensor

from ..segments import Segments


def shared_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None,
    tail_keys: Tensor,
    tail_values: Tensor,
    tail: Segments,
    new_lengths: Tensor,
    scale: float,
    *,
    with_lse: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Attend every row to the one context and to its own tail, under one joint softmax.

    The context is never expanded over the rows: all rows' queries of a head are multiplied with it at once.
    The newest `new_lengths[b]` tokens of row b's tail belong to the chunk itself: query i sees the tail before
    them and the first i + 1 of them. The results of queries past `new_lengths[b]` are undefined. A query that sees
    nothing gives 0 and a log-sum-exp of -inf.

    All arithmetic is in float32, so half precision neither overflows nor rounds in between. The log-sum-exp is exact
    to 5e-7 of the largest one.

    Args:
        query: [B, HQ, Q, D], Q >= 1.
        keys: [1, H, T, D], the context.
        values: [1, H, T, D].
        mask: bool [B, H, T], the context positions that row b sees in head h; None = all.
        tail_keys: [B * H * C, D]; the content of unused slots has no effect.
        tail_values: [B * H * C, D].
        tail: Of B rows and H heads, including the chunk; every capacity is C, without gaps between segments.
        new_lengths: int64 [B] on the CPU, tokens of the chunk in each row, 0 to Q.
        scale: Factor on the dot products.
        with_lse: Whether the log-sum-exp is computed.

    Returns:
        The output [B, Q, HQ, D] in the dtype of `query`, the log-sum-exp of the logits float32 [B, HQ, Q] or None, and
        the softmax weights of the context float32 [B, H, G, Q, T] (a view).
    """
    n_batch, n_query_heads, n_queries, dim = query.shape
    n_heads, n_context = keys.shape[1], keys.shape[2]
    group = n_query_heads // n_heads
    per_row = group * n_queries
    used, shortest = int(tail.lengths.max()), int(tail.lengths.min())
    q = (query.float() * scale).reshape(n_batch, n_heads, per_row, dim).transpose(0, 1)
    rows = q.reshape(n_heads, n_batch * per_row, dim)
    tail_shape = (n_batch, n_heads, len(tail_keys) // (n_batch * n_heads), dim)
    tail_k, tail_v = (flat.view(tail_shape)[:, :, :used].float().transpose(0, 1) for flat in (tail_keys, tail_values))

    # Both products go into one buffer [H, B, G * Q, T + used], so that nothing of the context's length is copied.
    logits = q.new_empty(n_heads, n_batch, per_row, n_context + used)
    context_logits, tail_logits = logits[..., :n_context], logits[..., n_context:]
    context_logits.flatten(1, 2).copy_(torch.bmm(rows, keys[0].float().transpose(1, 2)))
    if mask is not None:
        context_logits.masked_fill_(~mask.transpose(0, 1).unsqueeze(2), float("-inf"))
    tail_logits.copy_(q @ tail_k.transpose(2, 3))
    if n_queries > 1 or shortest < used:
        lengths = tail.lengths.T.to(query.device)
        unseen = _unseen(n_queries, used, lengths, new_lengths.to(query.device)).repeat(1, 1, group, 1)
        tail_logits.masked_fill_(unseen, float("-inf"))
    if shortest < used:
        spare = torch.arange(used, device=query.device) >= lengths.unsqueeze(-1)
        tail_v = tail_v.masked_fill(spare.unsqueeze(-1), 0)  # a weight of 0 times NaN would be NaN

    weights = logits.softmax(dim=-1)
    if not shortest:
        weights = weights.masked_fill(logits.isneginf().all(dim=-1, keepdim=True), 0)  # NaN where nothing is seen
    lse = logits.logsumexp(dim=-1).transpose(0, 1) if with_lse else None
    context_weights, tail_weights = weights[..., :n_context], weights[..., n_context:]
    out = torch.bmm(context_weights.flatten(1, 2), values[0].float()).view(n_heads, n_batch, per_row, dim)
    out = out + tail_weights @ tail_v
    out = out.to(query.dtype).view(n_heads, n_batch, group, n_queries, dim)
    return (
        out.permute(1, 3, 0, 2, 4).reshape(n_batch, n_queries, n_query_heads, dim),
        None if lse is None else lse.reshape(n_batch, n_query_heads, n_queries),
        context_weights.view(n_heads, n_batch, group, n_queries, n_context).transpose(0, 1),
    )


def _unseen(n_queries: int, used: int, lengths: Tensor, new_lengths: Tensor) -> Tensor:
    """Bool [H, B, Q, used]: True where a tail column comes after the query or past the segment's length [H, B]."""
    steps = torch.arange(n_queries, device=lengths.device)
    last_column = (lengths - new_lengths).unsqueeze(-1) + steps
    last_column = torch.minimum(last_column, (lengths - 1).unsqueeze(-1))
    return torch.arange(used, device=lengths.device) > last_column.unsqueeze(-1)
