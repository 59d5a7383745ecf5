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


def check_budget(method: Method, shape: ModelShape, n_tokens: int) -> None:
    """Whether a method can serve its budget over a context of this length, told before any model runs.

    Raises:
        UserError: fewer tokens than are protected, or what the allocator itself cannot serve.
    """
    check = getattr(method.allocator.instance, "check", None)
    for request in _requests(method, shape, n_tokens, None, None):
        if check is None:
            continue
        try:
            check(request)
        except UserError:
            raise
        except Exception:  # a stranger's check that fails says nothing; the run will meet its allocator
            return


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
    parts = []
    for request in _requests(method, shape, n_tokens, scores, profile):
        counts = method.allocator.instance.allocate(request).cpu()
        check_counts(counts, request)
        parts.append(counts)
    return torch.cat(parts)


def _requests(
    method: Method, shape: ModelShape, n_tokens: int, scores: Tensor | None, profile: Profile | None
) -> list[AllocationRequest]:
    """One request for the whole model, or one a layer where the allocator looks at the layer at hand."""
    per_head = budget_per_head(method, n_tokens)
    everything = tuple(range(shape.n_layers))
    needs: Needs = method.allocator.instance.needs
    seen = None if needs is Needs.NOTHING else scores
    protected = method.protection.mask(n_tokens)
    if seen is not None:
        protected = protected.to(seen.device)
    groups = [(layer,) for layer in everything] if needs is Needs.LAYER_SCORES else [everything]
    return [
        AllocationRequest(
            layers=layers,
            n_layers=shape.n_layers,
            n_batch=1,
            n_kv_heads=shape.n_kv_heads,
            n_tokens=n_tokens,
            budget=len(layers) * shape.n_kv_heads * per_head,
            protected=protected,
            scores=None if seen is None else seen[layers[0] : layers[-1] + 1],
            profile=profile,
        )
        for layers in groups
    ]
