"""From a method and a context's length to keep counts, behind the one validator."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import UserError
from ...allocators.base import AllocationRequest, BudgetError, Needs, check_counts, one_layer_each
from ..errors import PluginFailure, WriteError
from ..guard.read_only import reading
from ..models.shape import ModelShape
from .events import Event, allocator_events, harness_events
from .method import Method


@dataclass(frozen=True)
class Allocation:
    """What an allocator decided.

    Attributes:
        counts: int64 [L, 1, H], passed by the validator.
        allocate_s: Wall seconds of the allocator's own code.
        events: What a reader of the answer must know of how they came about.
    """

    counts: Tensor
    allocate_s: float
    events: tuple[Event, ...]


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
    allocator = method.allocator.instance
    check = getattr(allocator, "check", None)
    for request in _requests(method, shape, n_tokens, None, 0):
        if check is None:
            continue
        try:
            with reading(allocator, _tensors(request)):
                check(request)
        except (PluginFailure, WriteError):  # a stranger's check that fails says nothing; the run meets its allocator
            return


def allocate(method: Method, shape: ModelShape, n_tokens: int, scores: Tensor | None, seed: int) -> Allocation:
    """Keep counts that the validator has passed, and what is to be known of them.

    Args:
        method: Allocator and budget, with profiles where the allocator needs one.
        shape: Of the model.
        n_tokens: Cached tokens T.
        scores: float32 [L, 1, H, T]; may be None where the allocator needs none.
        seed: The run's.

    Raises:
        UserError: the method cannot serve this budget.
        PluginFailure: the allocator raised.
        WriteError: it wrote into its request.
        BudgetError: its counts break the budget.
        NoteError: what the allocator says of them cannot be stored.
    """
    parts, seconds, events = [], 0.0, harness_events(method, n_tokens)
    allocator = method.allocator.instance
    tell = getattr(allocator, "notes", None)
    for request in _requests(method, shape, n_tokens, scores, seed):
        with reading(allocator, _tensors(request)):
            began = time.perf_counter()
            counts = _counts(allocator.allocate(request))  # on the CPU, so that a device has done its work
            seconds += time.perf_counter() - began
        check_counts(counts, request)
        parts.append(counts)
        if tell is not None:
            with reading(allocator, _tensors(request)):
                notes = list(tell(request, counts.clone()))
            events += allocator_events(notes)
    return Allocation(torch.cat(parts), seconds, tuple(events))


def _tensors(request: AllocationRequest) -> Iterator[tuple[str, Tensor]]:
    yield "request's protected tokens", request.protected
    if request.scores is not None:
        yield "request's scores", request.scores


def _counts(counts: object) -> Tensor:
    if not isinstance(counts, Tensor):
        raise BudgetError(f"keep counts are {type(counts).__name__}, not a tensor")
    return counts.detach().cpu().clone()  # the allocator may go on with its own


def _requests(
    method: Method,
    shape: ModelShape,
    n_tokens: int,
    scores: Tensor | None,
    seed: int,
) -> list[AllocationRequest]:
    """One request for the whole model, or one a layer where the allocator looks at the layer at hand."""
    needs: Needs = method.allocator.instance.needs
    seen = None if needs is Needs.NOTHING else scores
    protected = method.protection.mask(n_tokens)
    whole = AllocationRequest(
        layers=tuple(range(shape.n_layers)),
        n_layers=shape.n_layers,
        n_batch=1,
        n_kv_heads=shape.n_kv_heads,
        n_tokens=n_tokens,
        budget=shape.n_layers * shape.n_kv_heads * budget_per_head(method, n_tokens),
        protected=protected if seen is None else protected.to(seen.device),
        scores=seen,
        seed=seed,
    )
    return one_layer_each(whole) if needs is Needs.LAYER_SCORES else [whole]
