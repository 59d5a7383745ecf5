"""Ragged attention in plain torch: the reference for any faster form."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..form import Form, cap, log_sum_exp, softmax
from ..segments import Segments


def ragged_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    segments: Segments,
    new_lengths: Tensor,
    form: Form,
    *,
    with_lse: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """See `kernels.ragged_attention`; segments and new lengths on the CPU."""
    n_batch, n_query_heads, n_queries, dim = query.shape
    n_heads = segments.starts.shape[1]
    group = n_query_heads // n_heads
    queries = (query.float() * form.scale).reshape(n_batch, n_heads, group, n_queries, dim)
    used = torch.where(new_lengths == 0, n_queries, new_lengths)
    real = torch.arange(n_queries) < used.view(-1, 1, 1, 1)
    index = real.expand(queries.shape[:-1]).flatten().nonzero()[:, 0].to(query.device)
    sizes = (group * used).repeat_interleave(n_heads).tolist()
    new = new_lengths.repeat_interleave(n_heads).tolist()
    future = {n: torch.ones(n, n, dtype=torch.bool, device=query.device).triu(1).repeat(group, 1) for n in {*new}}
    outs, sums = list[Tensor](), list[Tensor]()
    chunks = queries.flatten(0, 3)[index].split(sizes)
    sinks = _sinks(form.sinks, real.expand(queries.shape[:-1]), index, sizes)
    for n_new, q, k, v, sink in zip(new, chunks, segments.split(keys), segments.split(values), sinks, strict=True):
        if form.window is not None:
            k, v = (flat[-(form.window + max(n_new, 1) - 1) :] for flat in (k, v))
        if not len(k):
            outs.append(torch.zeros_like(q))
            if with_lse:
                sums.append(q.new_full(q.shape[:1], float("-inf")) if sink is None else sink)
            continue
        logits = q @ k.float().T
        cap(logits, form.softcap)
        if n_new > 1:  # all that came before the chunk is seen
            logits[:, len(k) - n_new :].masked_fill_(future[n_new], float("-inf"))
            _hide_old(logits, n_new, form.window)
        outs.append(softmax(logits, sink) @ v.float())
        if with_lse:
            sums.append(log_sum_exp(logits, sink))
    n_slots = n_batch * n_query_heads * n_queries
    out = _spread(torch.cat(outs).to(query.dtype), index, n_slots).view(n_batch, n_query_heads, n_queries, dim)
    lse = _spread(torch.cat(sums), index, n_slots).view(n_batch, n_query_heads, n_queries) if with_lse else None
    return out.transpose(1, 2).contiguous(), lse


def _sinks(sinks: Tensor | None, real: Tensor, index: Tensor, sizes: list[int]) -> Sequence[Tensor | None]:
    """For each segment the sink float32 [G * Q] of each of its rows, which lie at `index` in [B, H, G, Q]."""
    if sinks is None:
        return [None] * len(sizes)
    of_head = sinks.float().view(1, real.shape[1], real.shape[2], 1)
    parts: tuple[Tensor, ...] = of_head.expand(real.shape).flatten()[index].split(sizes)
    return parts


def _hide_old(logits: Tensor, n_new: int, window: int | None) -> None:
    """Hide from each query of a chunk, [G * n_new, T], the tokens before its window."""
    n_old = logits.shape[1] - (logits.shape[1] if window is None else window)
    if n_old > 0:
        before = torch.ones(n_new, n_old, dtype=torch.bool, device=logits.device).tril(n_old - n_new)
        logits[:, :n_old].masked_fill_(before.repeat(len(logits) // n_new, 1), float("-inf"))


def _spread(rows: Tensor, index: Tensor, n: int) -> Tensor:
    """[n, ...] with the rows at the places of the index; the other places hold anything."""
    return rows.new_empty(n, *rows.shape[1:]).index_copy_(0, index, rows)
