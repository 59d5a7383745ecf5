"""PyramidKV."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import torch
from torch import Tensor

from .base import AllocationRequest, Needs, Note


@dataclass(frozen=True)
class PyramidKV:
    """Gives the first layer most and the last least, with a linear decrease between; heads of a layer are equal.

    With m the mean budget of a head without its protected tokens, the last layer's heads keep m / beta of the other
    tokens, the first's 2m - m / beta, and the protected ones on top. If the first layer would keep more tokens than
    there are, it keeps all, the last 2m - (all), and the answer records `pyramid_flattened`.

    Source: Cai et al., "PyramidKV", arXiv 2406.02069, section 4 (budget allocation).

    Attributes:
        beta: Steepness of the line, at least 1; 1 is uniform. 20 is the default of the authors' code and of kvpress.

    Differs from the paper: the window of its formula is the protected tokens, the sink included; the total is exact,
    by largest remainder, equal remainders to the lower layer (the authors' code cuts its steps to integers). The
    authors' code gives up the line for equal layers where twice the mean exceeds the context, kvpress also where
    the last layer would keep fewer tokens than its window (at its defaults, 4,096 tokens: from a ratio of 0.75 on);
    this never does. Its scorer in the paper is SnapKV; here it takes any.
    Not monotone: every layer's ideal count grows with the budget, but rounding may take a slot from a head.
    """

    beta: int = 20

    source: ClassVar[str] = "arXiv 2406.02069"
    needs: ClassVar[Needs] = Needs.NOTHING
    monotone: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.beta < 1:
            raise ValueError(f"beta is at least 1, not {self.beta}")

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H]."""
        counts = _rounded(self._line(request), request)
        return counts.unsqueeze(1).expand(request.shape).contiguous()

    def notes(self, request: AllocationRequest, counts: Tensor) -> tuple[Note, ...]:
        """An event if the line had to be flatter than beta defines, with its ends in tokens per head."""
        requested, served = self._ends(request), self._served_ends(request)
        if requested == served or len(request.layers) == 1:
            return ()
        first, last = (float(request.n_protected + end) for end in served)
        details = {"beta": self.beta, "asked_first": float(request.n_protected + requested[0])}
        return ({"event": "pyramid_flattened", **details, "first": first, "last": last},)

    def _ends(self, request: AllocationRequest) -> tuple[Fraction, Fraction]:
        """Tokens that a head of the first and of the last layer would keep besides the protected ones."""
        mean = Fraction(request.budget, request.n_heads) - request.n_protected
        return 2 * mean - mean / self.beta, mean / self.beta

    def _served_ends(self, request: AllocationRequest) -> tuple[Fraction, Fraction]:
        first, last = self._ends(request)
        evictable = request.n_tokens - request.n_protected
        return (first, last) if first <= evictable else (Fraction(evictable), first + last - evictable)

    def _line(self, request: AllocationRequest) -> list[Fraction]:
        """The exact share of a head of each layer; a single layer gets the mean."""
        first, last = self._served_ends(request)
        steps = len(request.layers) - 1
        if not steps:
            return [Fraction(request.budget, request.n_heads)]
        return [request.n_protected + first - (first - last) * Fraction(step, steps) for step in range(steps + 1)]


def _rounded(line: list[Fraction], request: AllocationRequest) -> Tensor:
    """int64 [len(layers), H], by largest remainder in exact arithmetic, which keeps the order of layers."""
    floors = [int(place) for place in line]
    heads = request.n_kv_heads
    missing = request.budget - heads * sum(floors)
    counts = torch.tensor(floors).unsqueeze(1).repeat(1, heads)
    for place in sorted(range(len(line)), key=lambda place: floors[place] - line[place]):
        more = min(missing, heads)
        counts[place, :more] += 1
        missing -= more
    return counts
