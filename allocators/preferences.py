"""Budgets in proportion to what each head or layer is measured to need."""

import torch
from torch import Tensor

from .apportion import apportion
from .base import AllocationRequest


def proportional_counts(request: AllocationRequest, weights: Tensor, floor: float = 0.0) -> Tensor:
    """Keep counts whose evictable part is proportional to weights, the same for all where there are none.

    Each head gets `floor` of its equal part, and its share of the rest by its weight, but no more than there are
    tokens; what exceeds them goes in equal parts to the heads below, and the total is exact, by largest remainder.

    Args:
        request: With the budget.
        weights: float [len(layers), B, H], at least 0.
        floor: Share of the budget that is distributed equally, 0 to 1.

    Returns:
        int64 [len(layers), B, H].
    """
    most, n_heads = request.n_tokens - request.n_protected, request.n_heads
    total = request.budget - request.n_protected * n_heads
    counts = []
    for row in weights.double().cpu().unbind(dim=1):
        whole = row.sum()
        shares = row / whole if whole > 0 else torch.full_like(row, 1 / n_heads)
        ideal = total * (floor / n_heads + (1 - floor) * shares)
        counts.append(request.n_protected + apportion(ideal.flatten().clamp_max(most), total, most).view_as(row))
    return torch.stack(counts, dim=1)


def measured(request: AllocationRequest) -> Tensor:
    """The request's measures, float64 [len(layers), B, H, n].

    Raises:
        ValueError: it has none.
    """
    if request.measures is None:
        raise ValueError("the allocator was asked to allocate without its measures")
    return request.measures.double()
