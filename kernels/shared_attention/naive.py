"""Shared-context attention, plain torch: the truth that any faster form is held against."""

import torch
from torch import Tensor


def shared_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    keep: Tensor | None,
    tail_keys: Tensor,
    tail_values: Tensor,
    tail_lengths: Tensor,
    new_lengths: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Attend every row to the one context and to its own tail, under one joint softmax.

    The context is never expanded over the rows: all rows' queries of a head meet it in one product.
    The newest `new_lengths[b]` tokens of row b's tail belong to the chunk itself: query i sees the tail before
    them and the first i + 1 of them. Rows of `query` past `new_lengths[b]` give values without meaning.

    All arithmetic is in float32, so half precision neither overflows nor rounds in between.

    Args:
        query: [B, HQ, Q, D], Q >= 1.
        keys: [1, H, T, D], the context.
        values: [1, H, T, D].
        keep: bool [B, H, T], the context positions that row b sees in head h; None = all.
        tail_keys: [B, H, C, D]; columns past a row's length are never seen, whatever they hold.
        tail_values: [B, H, C, D].
        tail_lengths: int64 [B], tokens in each row's tail, the chunk included.
        new_lengths: int64 [B], tokens of the chunk in each row, 0 to Q.
        scale: Factor on the dot products.

    Returns:
        The output [B, Q, HQ, D] in the dtype of `query`, and the softmax weights of the context
        float32 [B, H, G, Q, T] (a view).
    """
    n_batch, n_query_heads, n_queries, dim = query.shape
    n_heads, n_context = keys.shape[1], keys.shape[2]
    per_row = n_query_heads // n_heads * n_queries
    used = int(tail_lengths.max())
    q = (query.float() * scale).reshape(n_batch, n_heads, per_row, dim).transpose(0, 1)
    rows = q.reshape(n_heads, n_batch * per_row, dim)

    # One buffer [H, B, G * Q, T + used] takes both products, so nothing as long as the context is copied.
    logits = q.new_empty(n_heads, n_batch, per_row, n_context + used)
    context_logits, tail_logits = logits[..., :n_context], logits[..., n_context:]
    context_logits.flatten(1, 2).copy_(torch.bmm(rows, keys[0].float().transpose(1, 2)))
    if keep is not None:
        context_logits.masked_fill_(~keep.transpose(0, 1).unsqueeze(2), float("-inf"))
    tail_logits.copy_(q @ tail_keys[:, :, :used].float().permute(1, 0, 3, 2))
    unseen = _unseen(n_queries, used, tail_lengths, new_lengths).repeat(1, per_row // n_queries, 1)
    tail_logits.masked_fill_(unseen, float("-inf"))

    weights = logits.softmax(dim=-1)
    context_weights, tail_weights = weights[..., :n_context], weights[..., n_context:]
    out = torch.bmm(context_weights.flatten(1, 2), values[0].float()).view(n_heads, n_batch, per_row, dim)
    in_use = (torch.arange(used, device=query.device) < tail_lengths.unsqueeze(-1))[:, None, :, None]
    tail_v = tail_values[:, :, :used].float().masked_fill(~in_use, 0).transpose(0, 1)  # 0 x NaN would be NaN
    out = (out + tail_weights @ tail_v).to(query.dtype)
    group = per_row // n_queries
    return (
        out.view(n_heads, n_batch, group, n_queries, dim).permute(1, 3, 0, 2, 4).reshape(query.transpose(1, 2).shape),
        context_weights.view(n_heads, n_batch, group, n_queries, n_context).transpose(0, 1),
    )


def _unseen(n_queries: int, used: int, tail_lengths: Tensor, new_lengths: Tensor) -> Tensor:
    """Bool [B, Q, used]: True where a tail column comes after the query or past the row's length."""
    device = tail_lengths.device
    last_seen = (tail_lengths - new_lengths).unsqueeze(-1) + torch.arange(n_queries, device=device)
    last_seen = torch.minimum(last_seen, (tail_lengths - 1).unsqueeze(-1))
    return torch.arange(used, device=device) > last_seen.unsqueeze(-1)
