"""A context that one method evicted while it was read."""

from dataclasses import dataclass

from ..engine.cache import StoreCache
from ..engine.context import FullCache
from .method import Method
from .selection import Selection

Barred = dict[str, Exception]
"""By score table or method the error of a plugin that changed data it may only read. It is not called again, since
each such call costs the others another pass."""


@dataclass(frozen=True)
class Evicted:
    """A context that one method evicted while it was read.

    Attributes:
        cache: The slots kept, in ragged stores.
        selection: What was kept.
        full: Size and cost of the full cache.
        compact_s: Wall seconds in which the stores were built.
    """

    cache: StoreCache
    selection: Selection
    full: FullCache
    compact_s: float


def refuse_barred(method: Method, barred: Barred) -> None:
    """Refuse to call plugins that changed what they may only read; raises what they were barred for."""
    for name in (method.table, method.label):
        if name in barred:
            raise barred[name]
