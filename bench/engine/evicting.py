"""The sink that evicts during the prefill: a layer's full keys and values are released once it is decided."""

from collections.abc import Callable, Iterable, Mapping

from torch import Tensor

from ...kernels.select import Kept
from ...kernels.store import KVStore, StoreFactory
from ..errors import WriteError
from ..guard.stamps import Stamps
from .clock import Laps

Decide = Callable[[int, Tensor | None, Tensor | None], Iterable[tuple[int, Kept]]]
"""From a layer, its scores, float32 [1, H, T], and its allocator's measures, float32 [1, H, n], to the layers that can
be decided now, each with what it keeps."""


class Evicting:
    """Evicts each layer of a pass as soon as it is decided.

    Attributes:
        stores: By layer.
        kept: By layer.
        kv_bytes: Bytes of the full cache, including released layers.
        held: Per layer taken, the slots of all layers that are held before any of it is evicted.
    """

    def __init__(
        self, decide: Decide, table: str | None, store: StoreFactory, room: int, measures: str | None = None
    ) -> None:
        """`table` and `measures` are the names of the tables of scores and measures, if there are any."""
        self.stores: dict[int, KVStore] = {}
        self.kept: dict[int, Kept] = {}
        self.kv_bytes = 0
        self.held: list[int] = []
        self._compacting, self._aside = Laps(), Laps()
        self._n_kept = 0
        self._decide, self._table, self._measures, self._store, self._room = decide, table, measures, store, room
        self._waiting: dict[int, tuple[Tensor, Tensor, Stamps]] = {}

    @property
    def compact_s(self) -> float:
        """Seconds in which the stores were built."""
        return self._compacting.seconds

    @property
    def aside_s(self) -> float:
        """Seconds spent here, which do not count as the model's."""
        return self._aside.seconds

    def take(self, index: int, keys: Tensor, values: Tensor, scores: Mapping[str, Tensor]) -> None:
        """Take a layer and evict every layer that can be decided; nothing is evicted once its scorer has failed.

        Raises:
            WriteError: a plugin wrote into a layer that was waiting.
        """
        with self._aside.lap(keys.device):
            self._take(index, keys, values, scores)

    def _take(self, index: int, keys: Tensor, values: Tensor, scores: Mapping[str, Tensor]) -> None:
        if any(name is not None and name not in scores for name in (self._table, self._measures)):  # a plugin failed
            self._waiting.clear()
            self.stores.clear()
            return
        self.kv_bytes += keys.nbytes + values.nbytes
        names = (f"keys of layer {index}", keys), (f"values of layer {index}", values)
        self._waiting[index] = keys, values, Stamps(names)
        self.held.append(
            self._n_kept + sum(waiting.shape[1] * waiting.shape[2] for waiting, *_ in self._waiting.values())
        )
        own = None if self._table is None else scores[self._table]
        measured = None if self._measures is None else scores[self._measures]
        for decided, kept in self._decide(index, own, measured):
            self._evict(decided, kept)

    def _evict(self, index: int, kept: Kept) -> None:
        keys, values, stamps = self._waiting.pop(index)
        if written := stamps.written():
            raise WriteError(f"it changed the {written[0]}, which is not an allocator's to change")
        with self._compacting.lap(keys.device):
            self.stores[index] = self._store(keys, values, kept, self._room)
        self.kept[index] = kept
        self._n_kept += int(kept.counts.sum())

    def written(self) -> list[str]:
        """Names of the waiting tensors that were written into."""
        return [name for _, _, stamps in self._waiting.values() for name in stamps.written()]
