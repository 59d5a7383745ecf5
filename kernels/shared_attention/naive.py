"""Shared-context attention in plain torch: the reference for any faster form."""

import torch
from torch import Tensor

from ..form import Form, cap, log_sum_exp, softmax
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
    form: Form,
    *,
    with_lse: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Attend every row to the one context and to its own tail, under one joint softmax.

    The context is never expanded over the rows: all rows' queries of a head are multiplied with it at once.
    The newest `new_lengths[b]` tokens of row b's tail belong to the chunk itself: query i sees the tail before
    them and the first i + 1 of them. The results of queries past `new_lengths[b]` are undefined. A query that sees
    nothing gives 0 and a log-sum-exp of -inf, or of the sink where there is one. A window counts the T positions of the
    context, hidden ones too, and then the tail.

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
        form: Scale and options.
        with_lse: Whether the log-sum-exp is computed.

    Returns:
        The output [B, Q, HQ, D] in the dtype of `query`, the log-sum-exp of the logits float32 [B, HQ, Q] or None, and
        the softmax weights of the context and of the tail's longest, float32 [B, H, G, Q, T + used] (a view).
    """
    n_batch, n_query_heads, n_queries, dim = query.shape
    n_heads, n_context = keys.shape[1], keys.shape[2]
    group = n_query_heads // n_heads
    per_row = group * n_queries
    used, shortest = int(tail.lengths.max()), int(tail.lengths.min())
    q = (query.float() * form.scale).reshape(n_batch, n_heads, per_row, dim).transpose(0, 1)
    rows = q.reshape(n_heads, n_batch * per_row, dim)
    tail_shape = (n_batch, n_heads, len(tail_keys) // (n_batch * n_heads), dim)
    tail_k, tail_v = (flat.view(tail_shape)[:, :, :used].float().transpose(0, 1) for flat in (tail_keys, tail_values))

    # Both products go into one buffer [H, B, G * Q, T + used], so that nothing of the context's length is copied.
    logits = q.new_empty(n_heads, n_batch, per_row, n_context + used)
    context_logits, tail_logits = logits[..., :n_context], logits[..., n_context:]
    context_logits.flatten(1, 2).copy_(torch.bmm(rows, keys[0].float().transpose(1, 2)))
    tail_logits.copy_(q @ tail_k.transpose(2, 3))
    cap(logits, form.softcap)
    if mask is not None:
        context_logits.masked_fill_(~mask.transpose(0, 1).unsqueeze(2), float("-inf"))
    if n_queries > 1 or shortest < used or form.window is not None:
        _hide_unseen(logits, n_context, n_queries, tail.lengths.T, new_lengths, form.window)
    if shortest < used:
        spare = torch.arange(used, device=query.device) >= tail.lengths.T.to(query.device).unsqueeze(-1)
        tail_v = tail_v.masked_fill(spare.unsqueeze(-1), 0)  # a weight of 0 times NaN would be NaN

    sinks = None if form.sinks is None else form.sinks.float().view(n_heads, 1, group).repeat_interleave(n_queries, -1)
    weights = softmax(logits, sinks)
    if not shortest:
        weights = weights.masked_fill(logits.isneginf().all(dim=-1, keepdim=True), 0)  # NaN where nothing is seen
    lse = log_sum_exp(logits, sinks).transpose(0, 1) if with_lse else None
    context_weights, tail_weights = weights[..., :n_context], weights[..., n_context:]
    out = torch.bmm(context_weights.flatten(1, 2), values[0].float()).view(n_heads, n_batch, per_row, dim)
    out = out + tail_weights @ tail_v
    out = out.to(query.dtype).view(n_heads, n_batch, group, n_queries, dim)
    return (
        out.permute(1, 3, 0, 2, 4).reshape(n_batch, n_queries, n_query_heads, dim),
        None if lse is None else lse.reshape(n_batch, n_query_heads, n_queries),
        weights.view(n_heads, n_batch, group, n_queries, n_context + used).transpose(0, 1),
    )


def _hide_unseen(
    logits: Tensor, n_context: int, n_queries: int, lengths: Tensor, new_lengths: Tensor, window: int | None
) -> None:
    """Hide what comes after each query or before its window.

    Args:
        logits: [H, B, G * Q, T + longest tail].
        n_context: T.
        n_queries: Q.
        lengths: int64 [H, B], tokens of each tail.
        new_lengths: int64 [B], those of the chunk.
        window: Tokens that a query sees.
    """
    lengths, steps = lengths.to(logits.device), torch.arange(n_queries, device=logits.device)
    own = (lengths - new_lengths.to(logits.device)).unsqueeze(-1) + steps  # the query's own tail column
    own = torch.minimum(own, (lengths - 1).unsqueeze(-1)).repeat(1, 1, logits.shape[2] // n_queries).unsqueeze(-1)
    columns = torch.arange(-n_context, logits.shape[3] - n_context, device=logits.device)
    logits[..., n_context:].masked_fill_(columns[n_context:] > own, float("-inf"))
    if window is not None:
        logits.masked_fill_(columns <= own - window, float("-inf"))
