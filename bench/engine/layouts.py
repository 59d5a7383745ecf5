"""How the rows of several configurations are laid out in memory while they decode."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from torch import Tensor

from ...kernels.backend import Backend
from ...kernels.ragged_store import compact
from ...kernels.select import Kept, stack
from ...kernels.shared_store import hide
from ...kernels.store import StoreFactory
from .beside import Beside
from .cache import StoreCache


class Layers(Protocol):
    """The full cache of a context."""

    @property
    def n_tokens(self) -> int:
        """T."""

    @property
    def n_sequence(self) -> int:
        """Tokens of the whole sequence that it was rotated for."""

    @property
    def beside(self) -> Beside:
        """What the layers that are not evicted hold of it."""

    def layers(self) -> Iterable[tuple[Tensor, Tensor]]:
        """(keys, values) [1, H, T, D] of each layer that is evicted, in order; a layer may be released when the next is
        requested."""


@dataclass(frozen=True)
class Layout:
    """A way to store the rows of several configurations. Answers do not depend on it; memory and speed do.

    Attributes:
        name: Of the layout.
        store: Makes a layer's store.
    """

    name: str
    store: StoreFactory

    def build(self, context: Layers, kept: Sequence[Sequence[Kept]], room: int) -> StoreCache:
        """A cache whose rows are the configurations, made a layer at a time.

        Args:
            context: The full cache.
            kept: What each configuration keeps in each layer.
            room: Spare slots of each head for tokens fed later.
        """
        n_tokens, n_sequence, beside = context.n_tokens, context.n_sequence, context.beside
        stores = [
            self.store(keys, values, stack(layer), room)
            for (keys, values), *layer in zip(context.layers(), *kept, strict=True)
        ]
        n_rows = sum(len(layers[0].mask) for layers in kept)
        return StoreCache(stores, n_rows, n_tokens, n_sequence, beside, room)


RAGGED = Layout("ragged", compact)
"""Each configuration has its own copy of what it keeps; the full cache is not needed any more."""


def ragged(backend: Backend) -> Layout:
    """`RAGGED`, whose slots are copied, appended and attended to by a backend."""
    return replace(RAGGED, store=partial(compact, backend=backend))


SHARED = Layout("shared", hide)
"""All configurations attend to one context through a mask each, and store only their later tokens."""
