"""Calls an allocator and validates its keep counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...allocators.base import AllocationRequest, BudgetError, check_counts
from ..engine.clock import Laps
from ..errors import PluginFailure, WriteError
from ..guard.read_only import reading
from ..models.layers import ModelShape
from .events import Event, allocator_events
from .method import Method
from .resolved import resolve_budget


@dataclass(frozen=True)
class Allocation:
    """An allocator's decision on the layers of one request.

    Attributes:
        counts: int64 [layers, 1, H], passed by the validator.
        allocate_s: Seconds of the allocator's own code.
        events: The allocator's notes on them.
    """

    counts: Tensor
    allocate_s: float
    events: tuple[Event, ...]


def check_budget(method: Method, shape: ModelShape, n_tokens: int) -> None:
    """Refuse a budget that a method cannot serve over a context of this length, before any model runs.

    Raises:
        UserError: fewer tokens than are protected, or what the allocator itself cannot serve.
    """
    budget = resolve_budget(method, shape, n_tokens)
    allocator = method.allocator.instance
    check = getattr(allocator, "check", None)
    if check is None:
        return
    for request in budget.requests(0):
        try:
            with reading(allocator, _tensors(request)):
                check(request)
        except (PluginFailure, WriteError):  # a check that fails decides nothing; `allocate` is called in the run
            return


def allocate(allocator: Any, *requests: AllocationRequest) -> Allocation:
    """The allocator's keep counts, validated.

    Args:
        allocator: The plugin's instance.
        requests: One for all layers or one for each, with their scores where it needs them.

    Raises:
        UserError: the method cannot serve this budget.
        PluginFailure: the allocator raised.
        WriteError: it wrote into its request.
        BudgetError: its counts break the budget.
        NoteError: its notes on them cannot be stored.
    """
    scores = requests[0].scores
    allocating = Laps()
    with (
        reading(allocator, _tensors(*requests)),
        allocating.lap(torch.device("cpu") if scores is None else scores.device),
    ):
        each = [_counts(allocator.allocate(request)) for request in requests]
    for counts, request in zip(each, requests, strict=True):
        check_counts(counts, request)
    events: list[Event] = []
    if (notes_of := getattr(allocator, "notes", None)) is not None:
        with reading(allocator, _tensors(*requests)):
            notes = [list(notes_of(request, counts.clone())) for counts, request in zip(each, requests, strict=True)]
        events = [event for some in notes for event in allocator_events(some)]
    return Allocation(torch.cat(each), allocating.seconds, tuple(events))


def _tensors(*requests: AllocationRequest) -> Iterator[tuple[str, Tensor]]:
    for request in requests:
        yield "request's protected tokens", request.protected
        if request.scores is not None:
            yield "request's scores", request.scores
        if request.measures is not None:
            yield "request's measures", request.measures
        if request.future is not None:
            yield "request's future", request.future


def _counts(counts: object) -> Tensor:
    if not isinstance(counts, Tensor):
        raise BudgetError(f"keep counts are {type(counts).__name__}, not a tensor")
    return counts.detach().cpu().clone()  # the allocator may reuse its own tensor
