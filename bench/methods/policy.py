"""The policy of one method over one context: it decides each layer as soon as its inputs are available."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ...allocators.base import AllocationRequest, Needs
from ...kernels.select import Kept, keep_ranked, select, select_layers
from ..engine.clock import Laps
from ..models.load import LoadedModel
from .allocation import allocate
from .events import Event, harness_events
from .method import Method
from .resolved import resolve_budget


class Policy:
    """Decides what each layer of a context keeps.

    An allocator that needs no scores is called once, at the first layer; one that needs the scores of the layer at
    hand is called for each; one that needs all scores, or its measures of all layers, is called at the last layer, and
    then decides every layer.

    Attributes:
        budget: Resolved over the context.
        events: Of the layers decided so far.
        allocate_s: Seconds of the allocator's own code so far.
    """

    def __init__(
        self, loaded: LoadedModel, method: Method, n_tokens: int, seed: int, future: Tensor | None = None
    ) -> None:
        """Raises UserError where the budget keeps fewer tokens than are protected.

        `future` is that of all layers, float32 [L, 1, H, T], for an allocator that needs it.
        """
        self.budget = resolve_budget(method, loaded.shape, n_tokens)
        self.events: list[Event] = [] if method.scorer is None else harness_events(method, loaded, n_tokens)
        self.allocate_s = 0.0
        self._selecting = Laps()
        self._method, self._device, self._n_layers = method, loaded.layer_devices[0], loaded.shape.n_layers
        self._backend, self._future = loaded.backend, future
        self._requests = self.budget.requests(seed)
        self._counts: Tensor | None = None
        self._table: Tensor | None = None
        self._measures: list[Tensor] = []
        self._everything: Kept | None = None

    @property
    def select_s(self) -> float:
        """Seconds of selection so far."""
        return self._selecting.seconds

    @property
    def seconds(self) -> float:
        """Of allocation and selection so far."""
        return self.allocate_s + self.select_s

    def decide(self, layer: int, scores: Tensor | None, measures: Tensor | None = None) -> Iterator[tuple[int, Kept]]:
        """The layers that can be decided once this one is available, each with what it keeps.

        Args:
            layer: Index of the layer; layers come in order.
            scores: float32 [1, H, T]; None for the full cache, which needs none.
            measures: float32 [1, H, n], the allocator's, if it makes any.

        Raises:
            PluginFailure, WriteError, BudgetError, NoteError, UserError: as `allocate`.
        """
        if scores is None:
            yield layer, self._whole_layer()
        elif (needs := self._method.allocator.instance.needs) is Needs.LAYER_SCORES:
            yield layer, self._select(scores, self._allocate((self._requests[layer], scores.unsqueeze(0)))[0])
        elif needs is Needs.NOTHING:
            if self._counts is None:
                self._counts = self.keep_counts()
            yield layer, self._select(scores, self._counts[layer])
        else:
            yield from self._decide_at_the_end(layer, scores, measures)

    def decide_all(
        self, table: Tensor | None, ranks: Tensor | None = None, measures: Tensor | None = None
    ) -> list[Kept]:
        """What each layer keeps, given the scores of all layers.

        Args:
            table: float32 [L, 1, H, T]; None for the full cache.
            ranks: int64 [L, 1, H, T], how many tokens are kept before each one; None = as the table ranks them.
            measures: float32 [L, 1, H, n], the allocator's, if it makes any.

        Raises:
            PluginFailure, WriteError, BudgetError, NoteError, UserError: as `allocate`.
        """
        if table is None:
            return [self._whole_layer()] * self._n_layers
        if (needs := self._method.allocator.instance.needs) is Needs.NOTHING:
            counts = self.keep_counts()
        elif needs is Needs.MEASURES:
            counts = self._measured(measures)
        else:
            counts = self._allocate(
                *zip(self._requests, table.split(self._n_layers // len(self._requests)), strict=True)
            )
        with self._selecting.lap(table.device):
            if ranks is not None:
                return keep_ranked(ranks, counts)
            return select_layers(table, counts, self._protected(table.device), backend=self._backend)

    def keep_counts(self) -> Tensor:
        """int64 [L, 1, H] of an allocator that needs no scores. Raises as `decide`."""
        return self._allocate((self._requests[0], None))

    def _decide_at_the_end(self, layer: int, scores: Tensor, measures: Tensor | None) -> Iterator[tuple[int, Kept]]:
        if self._table is None:
            self._table = torch.empty(self._n_layers, *scores.shape, device=scores.device)
        table = self._table
        table[layer] = scores
        if measures is not None:
            self._measures.append(measures.to(scores.device))
        if layer == self._n_layers - 1:
            self._table = None
            counts = (
                self._measured(torch.stack(self._measures))
                if self._measures
                else self._allocate((self._requests[0], table))
            )
            for each in range(self._n_layers):
                yield each, self._select(table[each], counts[each])

    def _measured(self, measures: Tensor | None) -> Tensor:
        """int64 [L, 1, H] of an allocator that measures, from a copy of its measures of all layers."""
        request = self._requests[0]
        if measures is not None:
            request = replace(request, measures=measures.clone(), protected=self._protected(measures.device))
        return self._allocate((request, None))

    def _allocate(self, *requests: tuple[AllocationRequest, Tensor | None]) -> Tensor:
        """int64 [layers, 1, H] from requests, each with the scores that it needs."""
        complete = [
            request if scores is None else replace(request, scores=scores, protected=self._protected(scores.device))
            for request, scores in requests
        ]
        if self._method.allocator.instance.needs is Needs.FUTURE and self._future is not None:
            complete = [replace(request, future=self._future.clone()) for request in complete]
        allocation = allocate(self._method.allocator.instance, *complete)
        self.allocate_s += allocation.allocate_s
        self.events += allocation.events
        return allocation.counts

    def _select(self, scores: Tensor, counts: Tensor) -> Kept:
        with self._selecting.lap(scores.device):
            return select(scores, counts, self._protected(scores.device), backend=self._backend)

    def _protected(self, device: torch.device) -> Tensor:
        return self.budget.protected.to(device)

    def _whole_layer(self) -> Kept:
        """Every position: one value for all layers."""
        if self._everything is None:
            shape = 1, self.budget.shape.n_kv_heads, self.budget.n_tokens
            self._everything = Kept.of_mask(torch.ones(shape, dtype=torch.bool, device=self._device))
        return self._everything
