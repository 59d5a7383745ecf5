"""The oracle allocation: LU-KV's, fitted on the very sample."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import AllocationRequest, Needs
from .lukv_hull import relax
from .lukv_order import eviction_order, losses
from .lukv_solver import greedy_evictions


@dataclass(frozen=True)
class Oracle:
    """A ceiling: LU-KV's budgets from the sample's own future, for the scorer that it runs with.

    U_(l,h)(n) = the future importance of the n tokens of the head that the scorer ranks first
    n = argmax of the sum of U_(l,h)(n_(l,h)) over all layers and heads, U relaxed to its upper concave hull,
        with n_(l,h) >= the protected tokens and the counts' sum equal to the budget

    The future is what the question and the reference answer attend to, times ||W_O v||, seen by feeding the reference.
    No cache could know it: this is an oracle, shown beside methods and ranked nowhere. With the oracle scorer both
    parts are known, with any other it is the best budget for that scorer by LU-KV's measure.

    Source: the hull and the greedy solver of Tang et al., "Predicting Future KV Utility", arXiv 2602.08585, section 4.
    Differs from the paper: one sample's own utility in place of a profile, and no targets: the exact budget.
    It is a ceiling of LU-KV's measure, not of the score: attention that is lost may not have mattered, and attention of
    later steps to what the evicted cache changed is not seen.
    """

    source: ClassVar[str] = "arXiv 2602.08585 (ICML 2026), on the sample itself"
    needs: ClassVar[Needs] = Needs.FUTURE
    monotone: ClassVar[bool] = True

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H]: what the greedy solver leaves of each head."""
        if request.scores is None or request.future is None:
            raise ValueError("the oracle cannot allocate without scores and future")
        order = eviction_order(request.scores, request.protected)
        if not order.shape[-1]:  # every token is protected
            return torch.full(request.shape, request.n_tokens)
        n_evicted = request.n_heads * request.n_tokens - request.budget
        counts = []
        for row in range(request.n_batch):
            in_order = losses(request.future[:, row], order[:, row], request.protected)
            (evicted,) = greedy_evictions(relax(in_order), request.n_heads, [n_evicted])
            counts.append(request.n_tokens - torch.from_numpy(evicted).view(len(request.layers), request.n_kv_heads))
        return torch.stack(counts, dim=1)
