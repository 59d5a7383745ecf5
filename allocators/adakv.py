"""AdaKV."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import AllocationRequest, Needs
from .pool import first_protected, pooled_counts


@dataclass(frozen=True)
class AdaKV:
    """Lets the heads of a layer compete: the layer's best-scored tokens are kept, with a safe share for every head.

    n_h = how many of the layer's b x H first-ranked tokens belong to head h, where b is the layer's budget per head;
    every head's own max(1, int(alpha x b)) best tokens are ranked before all others. Layers have equal budgets.

    Source: Feng et al., "Ada-KV", NeurIPS 2025, arXiv 2407.11550, section 3, algorithm 1.

    Attributes:
        alpha: Share of its equal part that a head keeps regardless of its scores, 0 to 1. 0.2 is the default of
            kvpress's AdaKVPress and the authors' choice for models with grouped queries (their README: 0.5 otherwise).

    Differs from the paper: protected tokens count as a head's best ones, inside its safe share and the budget, as in
    kvpress; the authors' code computes counts without the window and adds it to every head. The safe tokens are
    ranked before the pool, as in kvpress, where the authors' code mixes the pool's counts with equal ones in the
    proportion alpha. Equal scores go to the lower head.
    Monotone: a larger budget never takes a slot from a head.
    """

    alpha: float = 0.2

    source: ClassVar[str] = "arXiv 2407.11550 (NeurIPS 2025)"
    needs: ClassVar[Needs] = Needs.LAYER_SCORES
    monotone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is a share from 0 to 1, not {self.alpha}")

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [1, B, H], from the scores of the one layer asked for."""
        if request.scores is None or len(request.layers) != 1:
            raise ValueError("AdaKV allocates one layer at a time, with its scores")
        scores = first_protected(request.scores[0], request.protected)
        safe = scores.topk(self._n_safe(request.budget // request.n_kv_heads), dim=-1).indices
        counts = pooled_counts(scores.scatter(-1, safe, torch.inf), request.budget)
        return counts.unsqueeze(0)

    def _n_safe(self, per_head: int) -> int:
        """Rounded as in kvpress: the product of floats, truncated."""
        return max(1, int(per_head * self.alpha)) if self.alpha and per_head else 0
