"""H2O."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .attention import attention
from .base import LayerView, Protection, Reads

BLOCK_WEIGHTS = 2**25
"""Attention weights in memory at once: 128 MiB in float32."""


@dataclass(frozen=True)
class H2O:
    """Keeps the heavy hitters: the tokens that the context's tokens attended to most on average.

    score_j = mean over the group and over the queries i >= j of softmax(q_i k_j / sqrt(D))

    The softmax is that of the model's attention: with its own scale, softcap and sinks where it has them.

    Source: Zhang et al., "H2O: Heavy-Hitter Oracle", arXiv 2306.14048, section 4; as kvpress's ObservedAttentionPress.
    Sink 4 and window 1 by default, as LU-KV's attention-free scorers, so that methods differ only by their ranking.
    Differs from the paper: the mean over the queries that see a token, where the paper adds their attention up, which
    favours early tokens; scored once at the end of the context; no half of the budget is set aside for recent tokens
    (--window does that).

    Attention is computed in blocks of queries, so its memory does not grow with T x T; its time does.
    """

    source: ClassVar[str] = "arXiv 2306.14048"
    reads: ClassVar[Reads] = Reads(queries="all")
    protection: ClassVar[Protection] = Protection(sink=4, window=1)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], in [0, 1]."""
        if layer.queries is None:
            raise ValueError("H2O was given no queries")
        n_batch, n_query_heads, n_tokens, _ = layer.queries.shape
        block = max(1, BLOCK_WEIGHTS // (n_batch * n_query_heads * n_tokens))
        received = layer.keys.new_zeros(layer.keys.shape[:3], dtype=torch.float32)
        for begin in range(0, n_tokens, block):
            end = min(begin + block, n_tokens)
            received[..., :end] += attention(layer, layer.queries[:, :, begin:end], end).mean(dim=2).sum(dim=2)
        return received / torch.arange(n_tokens, 0, -1, device=received.device)
