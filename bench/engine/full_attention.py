"""Attention of a whole context to itself, in every form that models have."""

import torch
from torch import Tensor
from torch.nn import functional

from ...kernels.form import Form, cap, softmax

BLOCK = 256
"""The fewest queries of a block under a sliding window."""
LONGEST_BLOCK = 2048
LOGITS = 2**24
"""The most logits of a block where they are written out in float32; it has one query at least."""


def full_attention(query: Tensor, keys: Tensor, values: Tensor, form: Form) -> Tensor:
    """Each token attends to itself and to all tokens before it that its window shows.

    Without a window, a softcap or sinks it is torch's own causal attention. Under a window the queries attend in
    blocks, so that no mask of T x T is made; a softcap and sinks are written out in float32, in blocks too.

    Args:
        query: [B, HQ, T, D].
        keys: [B, H, T, D].
        values: [B, H, T, D].
        form: Scale and options.

    Returns:
        [B, HQ, T, D] in the dtype of `query`.
    """
    n_tokens = query.shape[2]
    window = None if form.window is None or form.window >= n_tokens else form.window
    if form.softcap is None and form.sinks is None and window is None:
        return functional.scaled_dot_product_attention(
            query, keys, values, is_causal=n_tokens > 1, scale=form.scale, enable_gqa=True
        )
    is_plain = form.softcap is None and form.sinks is None
    attend, size = (_torch_block, LONGEST_BLOCK) if is_plain else (_written_block, LOGITS)
    if window is not None:
        size = min(size, max(window, BLOCK))
    if not is_plain:
        widest = n_tokens if window is None else min(n_tokens, window + size)
        size = min(size, max(LOGITS // (query.shape[1] * widest), 1))
    blocks = []
    for start in range(0, n_tokens, size):
        stop = min(start + size, n_tokens)
        first = 0 if window is None else max(start - window + 1, 0)
        visible = _visible(start, stop, first, window, query.device)
        blocks.append(attend(query[:, :, start:stop], keys[:, :, first:stop], values[:, :, first:stop], visible, form))
    return torch.cat(blocks, dim=2)


def _visible(start: int, stop: int, first: int, window: int | None, device: torch.device) -> Tensor:
    """bool [stop - start, stop - first]: the keys from `first` on that the queries from `start` on attend to."""
    queries = torch.arange(start, stop, device=device).unsqueeze(-1)
    keys = torch.arange(first, stop, device=device)
    visible = keys <= queries
    return visible if window is None else visible & (keys > queries - window)


def _torch_block(query: Tensor, keys: Tensor, values: Tensor, visible: Tensor, form: Form) -> Tensor:
    return functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=visible, scale=form.scale, enable_gqa=True
    )


def _written_block(query: Tensor, keys: Tensor, values: Tensor, visible: Tensor, form: Form) -> Tensor:
    n_batch, n_query_heads, n_queries, dim = query.shape
    n_heads, n_keys = keys.shape[1:3]
    grouped = (n_batch, n_heads, n_query_heads // n_heads, n_queries)
    q = (query.float() * form.scale).reshape(n_batch, n_heads, -1, dim)
    logits = q @ keys.float().transpose(2, 3)
    cap(logits, form.softcap)
    logits.view(*grouped, n_keys).masked_fill_(~visible, float("-inf"))
    sinks = None
    if form.sinks is not None:
        sinks = form.sinks.float().view(n_heads, -1, 1).expand(grouped).reshape(logits.shape[:-1])
    out = softmax(logits, sinks) @ values.float()
    return out.view(n_batch, n_query_heads, n_queries, dim).to(query.dtype)
