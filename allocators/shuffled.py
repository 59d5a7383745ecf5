"""The shuffle control."""

import random
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor

from ..scorers.base import LayerView, Reads
from .base import AllocationRequest, Allocator, Measuring, Needs, Note, check_counts, one_layer_each


@dataclass(frozen=True)
class Shuffled:
    """Another allocator's counts, permuted over all layers and heads: a control.

    n_(l,h) = the inner allocator's count of head p(l,h), where p permutes all heads of all layers

    p depends only on the run's seed, so it is the same for all samples. The distribution of counts is kept, their
    assignment to heads is lost: what the inner allocator gains over this, it gains by knowing its heads.

    Source: a permutation control of this suite.

    Attributes:
        of: The inner allocator; if it has a profile, it is the same as without this control.

    Monotone: if the inner allocator is.
    """

    of: Allocator

    source: ClassVar[str] = "a control of this suite"

    @property
    def needs(self) -> Needs:
        """What the inner one needs, but for the scores of all layers in place of one's: counts move between layers."""
        return Needs.ALL_SCORES if self.of.needs is Needs.LAYER_SCORES else self.of.needs

    @property
    def reads(self) -> Reads:
        """What the inner one reads, if it measures."""
        reads: Reads = getattr(self.of, "reads", Reads())
        return reads

    def measure(self, layer: LayerView) -> Tensor:
        """The inner one's measures."""
        return cast(Measuring, self.of).measure(layer)

    @property
    def monotone(self) -> bool:
        """Whether the inner one is."""
        return bool(getattr(self.of, "monotone", False))

    def check(self, request: AllocationRequest) -> None:
        """Refuse budgets that the inner one refuses.

        Raises:
            UserError: as the inner one's `check`.
        """
        check = getattr(self.of, "check", None)
        if check is not None:
            for part in self._parts(request):
                check(part)

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H].

        Raises:
            BudgetError: the inner allocator's counts break the budget.
        """
        counts = torch.cat([self._inner(part) for part in self._parts(request)])
        by_sequence = counts.transpose(0, 1).flatten(1)[:, _deal(request.n_heads, request.seed)]
        n_layers, n_batch, n_heads = request.shape
        return by_sequence.view(n_batch, n_layers, n_heads).transpose(0, 1).contiguous()

    def notes(self, request: AllocationRequest, counts: Tensor) -> tuple[Note, ...]:
        """The inner one's notes on its own counts."""
        notes = getattr(self.of, "notes", None)
        if notes is None:
            return ()
        return tuple(note for part in self._parts(request) for note in notes(part, self._inner(part)))

    def _parts(self, request: AllocationRequest) -> list[AllocationRequest]:
        """The requests in the form that the inner one needs."""
        return one_layer_each(request) if self.of.needs is Needs.LAYER_SCORES else [request]

    def _inner(self, part: AllocationRequest) -> Tensor:
        counts = self.of.allocate(part).cpu()
        check_counts(counts, part)
        return counts


def _deal(n_heads: int, seed: int) -> list[int]:
    """A permutation that does not depend on library versions: Python guarantees the same `random()` for a seed."""
    draw = random.Random(f"shuffled {seed}").random
    keys = [draw() for _ in range(n_heads)]
    return sorted(range(n_heads), key=keys.__getitem__)
