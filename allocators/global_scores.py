"""One ranking over the whole model."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .base import AllocationRequest, Needs
from .pool import first_protected, pooled_counts


@dataclass(frozen=True)
class GlobalScores:
    """Lets all heads of the model compete with their raw scores: a control for moving budget between layers.

    n_(l,h) = how many of the model's `budget` best-scored tokens are in head h of layer l

    Source: KVzip's rule for its head budgets (Kim et al., arXiv 2505.23416, section 4.1, "eviction structure").
    Differs from the paper: KVzip's scores, maxima of attention weights, are comparable between layers; here any
    scorer's are used, and most scorers define only an order inside a head. That is the purpose of the control. Every
    head keeps the protected tokens. Equal scores go to the lower layer, then the lower head.
    Monotone: a larger budget never takes a slot from a head.
    """

    source: ClassVar[str] = "arXiv 2505.23416 (NeurIPS 2025), its budget rule alone"
    needs: ClassVar[Needs] = Needs.ALL_SCORES
    monotone: ClassVar[bool] = True

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H], from the scores of all layers asked for."""
        if request.scores is None:
            raise ValueError("the global ranking was asked to allocate without scores")
        scores = first_protected(request.scores, request.protected)
        by_sequence = scores.transpose(0, 1).flatten(1, 2)
        counts = pooled_counts(by_sequence, request.budget)
        return counts.view(request.n_batch, len(request.layers), request.n_kv_heads).transpose(0, 1).contiguous()
