"""CriticalKV."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import LayerView, Protection, Reads, Scorer

BLOCK_TOKENS = 4096
"""Tokens whose projected values are in memory at once."""


@dataclass(frozen=True)
class Critical:
    """Wraps any scorer: half of the budget by its ranking, the rest by the change that an eviction makes in the output.

    s_j is the inner score and N the tokens that the budget keeps in a head. The floor(first_share * N) best by s (at
    least one) come first, in their order; then
        score_j = (s_j + epsilon) * mean over the group of ||W_O v_j||_1

    Source: Feng et al., "CriticalKV: Optimizing KV Cache Eviction from an Output Perturbation Perspective",
    arXiv 2502.03805, its two-stage algorithm; as kvpress's CriticalKVPress, whose defaults these are.
    Reads, sink and window are those of the inner scorer.
    Made for non-negative scores, such as attention: negative ones (keydiff, knorm) reverse the second stage. Inside it,
    expected_attention counts the values twice unless use_vnorm=false is set.
    Differs from the paper: N is the budget's mean over heads, regardless of what the allocator then gives this one; if
    a head gets less than its first stage, the inner order decides. Protected tokens are ranked like others.

    Attributes:
        of: The inner scorer.
        epsilon: Added to its scores.
        first_share: Share of the budget that the inner scorer decides alone.
    """

    of: Scorer
    epsilon: float = 1e-4
    first_share: float = 0.5

    source: ClassVar[str] = "arXiv 2502.03805 (ICML 2026)"

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if not 0 <= self.first_share <= 1:
            raise ValueError(f"first_share is from 0 to 1, not {self.first_share}")
        if not 0 <= self.epsilon <= 1e6:
            raise ValueError(f"epsilon is from 0 to a million, not {self.epsilon}")

    @property
    def reads(self) -> Reads:
        """What the inner scorer reads, the output projection and the budget."""
        return self.of.reads | Reads(output_weight=True, budget=True)

    @property
    def protection(self) -> Protection:
        """The inner scorer's."""
        return self.of.protection

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T]."""
        if layer.output_weight is None or layer.n_kept is None:
            raise ValueError("CriticalKV was given no output projection or no budget")
        inner = self.of.score(layer)
        second = (inner + self.epsilon) * projected_l1_norm(layer.values, layer.output_weight)
        n_first = max(1, int(self.first_share * layer.n_kept)) if self.first_share > 0 else 0
        n_first = min(n_first, inner.shape[-1])
        first = inner.argsort(dim=-1, descending=True, stable=True)[..., :n_first]
        return second.scatter(-1, first, _descending(second, n_first).expand_as(first))


def _descending(scores: Tensor, n: int) -> Tensor:
    """float32 [B, 1, n]: n different numbers in falling order, above every score [B, H, T] of the sequence.

    They are neighbours in float32, so that even many of them stay close to the scores.
    """
    above = 2 * scores.flatten(1).amax(dim=1).clamp_min(0) + 1
    steps = torch.arange(n, 0, -1, dtype=torch.int32, device=scores.device)
    neighbours: Tensor = above.view(torch.int32)[:, None] + steps
    return neighbours.view(torch.float32).unsqueeze(1)


def projected_l1_norm(values: Tensor, output_weight: Tensor) -> Tensor:
    """float32 [B, H, T]: the mean over the group of ||W_O v||_1, from [B, H, T, D] and [HQ, D, hidden]."""
    n_heads = values.shape[1]
    group = output_weight.shape[0] // n_heads
    norms = torch.stack([_norm(values[:, head // group], weight) for head, weight in enumerate(output_weight)], dim=1)
    return norms.view(values.shape[0], n_heads, group, -1).mean(dim=2)


def _norm(values: Tensor, weight: Tensor) -> Tensor:
    """float32 [B, T]: ||W v||_1 from [B, T, D] and [D, hidden]."""
    weight = weight.float()
    parts = values.split(BLOCK_TOKENS, dim=1)
    return torch.cat([(part.float() @ weight).abs().sum(dim=-1) for part in parts], dim=1)
