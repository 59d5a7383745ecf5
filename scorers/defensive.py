"""DefensiveKV."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .attention import on_top
from .base import LayerView, Protection, Reads
from .critical import projected_l1_norm
from .observation import Observation, observe
from .pooling import check_sizes, pooled


@dataclass(frozen=True)
class Defensive:
    """Keeps what any of the last queries attended to most, in the worst case instead of on average.

    score_j = max(s_j, mean of s over the tokens) x n_j, with
        s_j = max over the group and over the last w queries i of p_ij, smoothed over neighbours and rescaled to the
              query's own sum
        n_j = mean over the group of ||W_O v_j||_1, as a share of the sum over the layer's KV heads

    The tokens that hold `mass` of the mean attention come first; so does the window itself.

    Source: Feng et al., "Taming the Fragility of KV Cache Eviction in LLM Inference", arXiv 2510.13334 (ICLR 2026),
    defensive aggregation, with the two stages of CriticalKV as in the authors' code: 32 queries, average pooling over
    5, a mass of 0.9. Their DefensiveKV is `--allocator adakv:alpha=0 --scorer defensive`, their LayerDefensiveKV
    `--allocator global --scorer defensive`.
    Sink 4 and a protected window as long as the observation window, as SnapKV.
    Differs from the paper: as its code does, norms are divided by their sum over heads, and what is taken off `mass` is
    the attention to the w tokens before the window, averaged over the layer. The tokens of the first stage are at most
    the budget's mean over heads without the window (the code takes the window off twice, and nearly every token where
    less is left than that), regardless of what the allocator then gives this head; they are equal, so that their
    positions decide among them.

    Attributes:
        window: Number of last queries that are used.
        kernel: Tokens that are averaged together, odd.
        mass: Share of the attention whose tokens come first, from 0 (none do) to 1.
    """

    window: int = 32
    kernel: int = 5
    mass: float = 0.9

    source: ClassVar[str] = "arXiv 2510.13334 (ICLR 2026)"

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        check_sizes(self.window, self.kernel)
        if not 0 <= self.mass <= 1:
            raise ValueError(f"mass is a share from 0 to 1, not {self.mass}")

    @property
    def reads(self) -> Reads:
        """The window's queries, the output projection and the budget, of all heads at once."""
        return Reads(queries=self.window, output_weight=True, budget=True, all_heads=True)

    @property
    def protection(self) -> Protection:
        """Sink 4 and the observation window."""
        return Protection(sink=4, window=self.window)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], at least 0."""
        if layer.output_weight is None or layer.n_kept is None:
            raise ValueError("DefensiveKV was given no output projection or no budget")
        seen = observe(layer, self.window)
        n_window = seen.weights.shape[3]
        if seen.n_before == 0:
            return on_top(seen.weights.new_zeros(*layer.keys.shape[:2], 0), before=0, after=n_window)
        worst = self._worst(seen)
        norms = projected_l1_norm(layer.values[:, :, : seen.n_before], layer.output_weight)
        shares = norms / norms.sum(dim=1, keepdim=True).clamp_min(torch.finfo(norms.dtype).tiny)
        scores = worst.clamp_min(worst.mean(dim=-1, keepdim=True)) * shares
        first = self._first(seen, layer.n_kept - n_window)
        largest = scores.flatten(1).amax(dim=1).view(-1, 1, 1)
        return on_top(torch.where(first, largest, scores), before=0, after=n_window)

    def _worst(self, seen: Observation) -> Tensor:
        """s, float32 [B, H, n]."""
        before = seen.weights[..., : seen.n_before]
        smooth = pooled(before, self.kernel, "avg")
        total = smooth.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(smooth.dtype).tiny)
        return (smooth / total * before.sum(dim=-1, keepdim=True)).amax(dim=(2, 3))

    def _first(self, seen: Observation, most: int) -> Tensor:
        """bool [B, H, n], the tokens that hold the mass: as many of the largest as stay below it, at most `most`."""
        before = seen.weights[..., : seen.n_before]
        near = before[..., -seen.weights.shape[3] :].sum(dim=-1).mean(dim=(1, 2, 3))
        mean = before.mean(dim=(2, 3))
        mean = mean / mean.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(mean.dtype).tiny)
        largest, order = mean.sort(dim=-1, descending=True, stable=True)
        reached = largest.cumsum(dim=-1) >= (self.mass - near).view(-1, 1, 1)
        n_first = torch.where(reached.any(dim=-1), reached.int().argmax(dim=-1), 0).clamp_max(max(most, 0))
        places = torch.arange(mean.shape[-1], device=mean.device)
        return torch.zeros_like(reached).scatter(-1, order, places < n_first.unsqueeze(-1))
