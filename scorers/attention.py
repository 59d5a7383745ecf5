"""Attention weights of queries over a layer's keys."""

import torch
from torch import Tensor

from ..kernels.window_attention import causal_weights
from .base import LayerView


def attention(layer: LayerView, queries: Tensor, end: int) -> Tensor:
    """Causal softmax weights of some queries in a row, as the model's attention computes them: with its scale, its
    softcap and its sinks.

    Args:
        layer: Its keys and the form of its attention.
        queries: [B, HQ, n, D], after the rotary embedding.
        end: The position after the last of them.

    Returns:
        float32 [B, H, G, n, end], zero where a query does not see; with sinks they add up to less than 1.
    """
    return causal_weights(queries, layer.keys[:, :, :end], layer.form)


def on_top(scores: Tensor, before: int, after: int) -> Tensor:
    """Scores [B, H, n] with tokens before and after them whose scores exceed the sequence's largest by 1."""
    n_batch, n_heads, n = scores.shape
    largest = scores.flatten(1).amax(dim=1) if n else scores.new_zeros(n_batch)
    top = (largest + 1).view(n_batch, 1, 1)
    return torch.cat([top.expand(-1, n_heads, before), scores, top.expand(-1, n_heads, after)], dim=-1)
