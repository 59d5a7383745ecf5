"""Expected Attention."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .attention import on_top
from .base import LayerView, Protection, Reads
from .rotary import rotate

MOST_AHEAD = 2**20
"""More positions than any model has."""


@dataclass(frozen=True)
class ExpectedAttention:
    """Keeps what later queries are expected to attend to, assuming the distribution of the context's queries.

    q ~ N(mu, S), the context's queries before the rotary embedding without the first n_sink, rotated by R, the average
    rotation of the next n_future positions:
        z_j = R mu . k_j / sqrt(D) + k_j^T (R S R^T) k_j / (2 D)
        score_j = (mean over the group of softmax over j of z_j + epsilon) * ||v_j||_2
    The first n_sink tokens are left out of the softmax and ranked first.

    Source: Devoto, Jeblick, Jégou, "Expected Attention", arXiv 2510.00636 (its section on the method); as kvpress's
    ExpectedAttentionPress, by the same authors, whose defaults these are but for epsilon: 0.02 is LU-KV's (its
    "ea_0.02" curves), kvpress's is 0.
    Sink 4 and window 1 by default, as LU-KV uses it ("ea:4:1").
    Differs from the paper: its head-adaptive budgets are an allocator here (adakv). LU-KV's profiling code takes the
    softmax over all tokens, sinks included. A model's softcap and its sinks without a token are not in the expectation.

    Attributes:
        n_future: Positions after the context over which the rotation is averaged.
        n_sink: First tokens left out and kept.
        use_covariance: Whether S is used.
        use_vnorm: Whether the value's norm is used; turn it off inside `critical`, which weighs by values itself.
        epsilon: Added to every token's share before the multiplication by the value's norm.
    """

    n_future: int = 512
    n_sink: int = 4
    use_covariance: bool = True
    use_vnorm: bool = True
    epsilon: float = 0.02

    source: ClassVar[str] = "arXiv 2510.00636"
    reads: ClassVar[Reads] = Reads(queries_before_rotary=True, rotary=True)

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if not 1 <= self.n_future <= MOST_AHEAD or self.n_sink < 0:
            raise ValueError(f"n_future is from 1 to {MOST_AHEAD} and n_sink at least 0")
        if not 0 <= self.epsilon <= 1e6:
            raise ValueError(f"epsilon is from 0 to a million, not {self.epsilon}")

    @property
    def protection(self) -> Protection:
        """Its sinks, and the last token."""
        return Protection(sink=self.n_sink, window=1)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], at least 0."""
        if layer.queries_before_rotary is None or layer.rotary is None:
            raise ValueError("Expected Attention was given no queries or no rotary embedding")
        n_batch, n_heads, n_tokens, dim = layer.keys.shape
        n_sink = min(self.n_sink, n_tokens)
        if n_sink == n_tokens:
            return on_top(layer.keys.new_zeros(n_batch, n_heads, 0, dtype=torch.float32), n_tokens, after=0)
        ahead = torch.arange(n_tokens, n_tokens + self.n_future, device=layer.keys.device)
        cos, sin = (part.float().mean(dim=0) for part in layer.rotary(ahead))
        keys = layer.keys[:, :, n_sink:].float()
        grouped = layer.queries_before_rotary[:, :, n_sink:].reshape(n_batch, n_heads, -1, n_tokens - n_sink, dim)
        # One query head of each group at a time: its queries in float32 are as large as the layer's keys.
        expected = [self._expected(queries.float(), keys, cos, sin, layer.scale) for queries in grouped.unbind(dim=2)]
        scores = torch.stack(expected).mean(dim=0)
        if self.use_vnorm:
            scores = (scores + self.epsilon) * torch.linalg.vector_norm(layer.values[:, :, n_sink:].float(), dim=-1)
        return on_top(scores, before=n_sink, after=0)

    def _expected(self, queries: Tensor, keys: Tensor, cos: Tensor, sin: Tensor, scale: float) -> Tensor:
        """float32 [B, H, n] from queries and keys [B, H, n, D] and the average rotation."""
        mean = queries.mean(dim=2, keepdim=True)
        logits = (rotate(mean, cos, sin) @ keys.transpose(2, 3)).squeeze(2) * scale
        if self.use_covariance:
            centred = queries - mean
            covariance = centred.transpose(2, 3) @ centred / queries.shape[2]
            half_turned = rotate(covariance, cos, sin)  # S R^T
            turned = rotate(half_turned.transpose(2, 3), cos, sin)  # R S R^T, which is symmetric
            logits = logits + ((keys @ turned) * keys).sum(dim=-1) * (scale**2 / 2)
        return logits.softmax(dim=-1)
