"""From a method and a context's length to keep counts, behind the one validator."""

import torch
from torch import Tensor

from ... import UserError
from ...allocators.base import AllocationRequest, Needs, check_counts
from ...scorers.base import Profile
from ..models.load import ModelShape
from .request import Method


def budget_per_head(method: Method, n_tokens: int) -> int:
    """Tokens a head keeps on average.

    Raises:
        UserError: fewer than what is protected.
    """
    per_head = method.budget.per_head(n_tokens)
    protected = min(method.protection.sink + method.protection.window, n_tokens)
    if per_head < max(protected, 1):
        raise UserError(
            f"the budget {method.budget} keeps {per_head} of {n_tokens} tokens per head, fewer than the {protected} "
            "protected ones (sink + window); keep more, or lower --sink and --window."
        )
    return per_head


def can_plan(method: Method) -> bool:
    """Whether keep counts are known before any model runs."""
    needs: Needs = method.allocator.instance.needs
    return needs is Needs.NOTHING


def allocate(
    method: Method, shape: ModelShape, n_tokens: int, scores: Tensor | None, profile: Profile | None
) -> Tensor:
    """int64 [L, 1, H]: keep counts that the validator has passed.

    Args:
        method: Allocator and budget.
        shape: Of the model.
        n_tokens: Cached tokens T.
        scores: float32 [L, 1, H, T]; may be None where the allocator needs none.
        profile: Where the allocator fits one.

    Raises:
        UserError: the method cannot serve this budget.
        BudgetError: its counts break the budget.
    """
    per_head = budget_per_head(method, n_tokens)
    everything = tuple(range(shape.n_layers))
    by_layer = method.allocator.instance.needs is Needs.LAYER_SCORES
    groups = [(layer,) for layer in everything] if by_layer else [everything]
    parts = []
    for layers in groups:
        request = AllocationRequest(
            layers=layers,
            n_layers=shape.n_layers,
            n_batch=1,
            n_kv_heads=shape.n_kv_heads,
            n_tokens=n_tokens,
            budget=len(layers) * shape.n_kv_heads * per_head,
            protected=method.protection.mask(n_tokens),
            scores=None if scores is None else scores[list(layers)],
            profile=profile,
        )
        counts = method.allocator.instance.allocate(request)
        check_counts(counts, request)
        parts.append(counts)
    return torch.cat(parts)
