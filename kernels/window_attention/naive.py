"""Window attention in plain torch: the reference for any faster form."""

import torch
from torch import Tensor

from ..form import Form, cap, softmax


def window_attention(queries: Tensor, keys: Tensor, form: Form) -> Tensor:
    """float32 [B, H, G, T - W] from queries [B, HQ, W, D] and keys [B, H, T, D]; see `kernels.window_attention`."""
    return causal_weights(queries, keys, form)[..., : keys.shape[2] - queries.shape[2]].mean(dim=3)


def causal_weights(queries: Tensor, keys: Tensor, form: Form) -> Tensor:
    """Causal softmax weights of the queries at the last n of T positions.

    Args:
        queries: [B, HQ, n, D].
        keys: [B, H, T, D].
        form: Scale, softcap and sinks; without a window.

    Returns:
        float32 [B, H, G, n, T], zero where a query does not see.
    """
    n_batch, n_heads, end, dim = keys.shape
    n = queries.shape[2]
    grouped = queries.float().reshape(n_batch, n_heads, -1, dim)  # the queries of a group in consecutive rows
    logits = (grouped @ keys.float().transpose(2, 3) * form.scale).view(n_batch, n_heads, -1, n, end)
    cap(logits, form.softcap)
    hidden = torch.ones(n, end, dtype=torch.bool, device=logits.device).triu(end - n + 1)
    sinks = None if form.sinks is None else form.sinks.float().view(n_heads, -1, 1)
    return softmax(logits.masked_fill_(hidden, float("-inf")), sinks)
