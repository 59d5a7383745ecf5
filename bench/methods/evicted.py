"""A context that one method evicted while it was read."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..engine.cache import StoreCache
from ..engine.context import FullCache
from .method import Method
from .selection import Selection

Barred = dict[str, Exception]
"""By score table or method the error of a plugin that changed data it may only read. It is not called again, since
each such call costs the others another pass."""


@dataclass(frozen=True)
class EvictionSeconds:
    """Seconds of an eviction, step by step, over all layers.

    Attributes:
        score_s: Of the scorer's own code.
        allocate_s: Of the allocator's own code.
        select_s: In which the kept positions were found.
        compact_s: In which the stores were built, or slots freed.
    """

    score_s: float
    allocate_s: float
    select_s: float
    compact_s: float

    @property
    def choosing_s(self) -> float:
        """Of scoring, allocating and selecting."""
        return self.score_s + self.allocate_s + self.select_s


@dataclass(frozen=True)
class Evicted:
    """A context that one method evicted while it was read.

    Attributes:
        cache: The slots kept, in ragged stores.
        selection: What was kept.
        full: Size and cost of the full cache.
        steps: Seconds of each step of the eviction.
        held: Per layer in the order of the prefill, the slots of all layers that were held when it was computed; under
            a block schedule per layer in each block, one block after the other.
    """

    cache: StoreCache
    selection: Selection
    full: FullCache
    steps: EvictionSeconds
    held: Sequence[int]


def refuse_barred(method: Method, barred: Barred) -> None:
    """Refuse to call plugins that changed what they may only read; raises what they were barred for."""
    for name in (*method.tables, method.label):
        if name in barred:
            raise barred[name]
