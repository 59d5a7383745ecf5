"""A context held in memory: its full cache and its score tables."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...kernels.select import rank
from ...scorers.base import Protection
from ..guard.stamps import Stamps
from .beside import ALL_EVICTED, Beside
from .clock import now


@dataclass(frozen=True)
class FullCache:
    """Size and cost of a context's full cache, also after its release.

    Attributes:
        n_tokens: T.
        kv_bytes: Bytes of all keys and values, those of sliding windows and recurrent states among them.
        prefill_s: Wall seconds of the forward pass, without scoring and eviction.
    """

    n_tokens: int
    kv_bytes: int
    prefill_s: float


@dataclass(frozen=True)
class Ranking:
    """The order in which tokens are kept.

    Attributes:
        ranks: int64 [L, 1, H, T], tokens of its head that are kept before each one.
        seconds: Wall seconds of sorting.
    """

    ranks: Tensor
    seconds: float

    @classmethod
    def of(cls, table: Tensor, protection: Protection) -> "Ranking":
        """That of a table, float32 [L, 1, H, T]."""
        began = now(table.device)
        ranks = rank(table, protection.mask(table.shape[-1]).to(table.device))
        return cls(ranks, now(table.device) - began)


@dataclass
class Context:
    """A context's full cache and its score tables.

    Attributes:
        keys: Per layer that is evicted [1, H, T, D].
        values: Per layer that is evicted [1, H, T, D].
        scores: Per table name float32 [L, 1, H, T].
        failures: Per missing table the exception of its scorer.
        prefill_s: Wall seconds of the forward pass, without scoring.
        score_s: Per table its scorer's wall seconds over all layers.
        n_sequence: Tokens of the whole sequence that it is rotated for.
        read_again: Reads the context again, with the named tables; None if it was not read from tokens.
        beside: What the layers that are not evicted hold of it.
        full: Size and cost of the full cache.
    """

    keys: list[Tensor]
    values: list[Tensor]
    scores: Mapping[str, Tensor]
    failures: Mapping[str, Exception]
    prefill_s: float
    score_s: Mapping[str, float]
    n_sequence: int
    read_again: "Callable[[Collection[str]], Context] | None" = None
    beside: Beside = ALL_EVICTED
    full: FullCache = field(init=False)
    _stamps: Stamps = field(init=False, repr=False, compare=False)
    _rankings: dict[tuple[str, Protection], Ranking] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        n_bytes = sum(layer.nbytes for layer in (*self.keys, *self.values)) + self.beside.nbytes
        self.full = FullCache(self.keys[0].shape[2], n_bytes, self.prefill_s)
        self._stamps = Stamps(self._tensors())

    def table(self, name: str) -> Tensor:
        """A table, float32 [L, 1, H, T]; raises what its scorer raised."""
        if name in self.failures:
            raise self.failures[name]
        return self.scores[name]

    def ranking(self, name: str, protection: Protection) -> Ranking:
        """The ranks of a table's tokens, computed once for all budgets; raises what its scorer raised."""
        table, place = self.table(name), (name, protection)
        if place not in self._rankings:
            self._rankings[place] = Ranking.of(table, protection)
        return self._rankings[place]

    @property
    def n_tokens(self) -> int:
        """T."""
        return self.full.n_tokens

    @property
    def kv_bytes(self) -> int:
        """Bytes of the full cache."""
        return self.full.kv_bytes

    def layers(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(keys, values) of each layer that is evicted, in order."""
        return zip(self.keys, self.values, strict=True)

    def drop_tables(self, needed: Collection[str]) -> None:
        """Release the tables that are no longer needed."""
        if self.scores.keys() - set(needed):
            self.scores = {name: table for name, table in self.scores.items() if name in needed}
            self._rankings = {place: one for place, one in self._rankings.items() if place[0] in needed}
            self._stamps = Stamps(self._tensors())

    def for_last_use(self) -> "LastUse":
        """The full cache for the last stores built from it: each layer is released once it is copied."""
        self.scores, self._stamps = {}, Stamps(())
        self._rankings.clear()
        return LastUse(self)

    def read_anew(self) -> "Context":
        """Release this context and read it again, without tables.

        Raises:
            RuntimeError: it was not read from tokens.
        """
        self.for_last_use()
        self.keys, self.values = [], []
        return self._read_again(())

    def restored(self) -> str | None:
        """Read the context again if a plugin wrote into it. Returns the name of what was changed, or None.

        Raises:
            RuntimeError: it was changed, and was not read from tokens.
        """
        written = self._stamps.written()
        if not written:
            return None
        again = self._read_again(self.scores)
        self.keys, self.values, self.scores = again.keys, again.values, again.scores
        self.failures = {**self.failures, **again.failures}
        self._rankings.clear()
        self._stamps = Stamps(self._tensors())
        return written[0]

    def _read_again(self, tables: Collection[str]) -> "Context":
        if self.read_again is None:
            raise RuntimeError("the context was changed and cannot be read again, since its tokens are not known")
        return self.read_again(tables)

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for what, layers in (("keys", self.keys), ("values", self.values)):
            yield from ((f"{what} of layer {index}", layer) for index, layer in enumerate(layers))
        yield from ((f"scores of {name}", table) for name, table in self.scores.items())


@dataclass(frozen=True)
class LastUse:
    """A context whose layers are released one by one."""

    context: Context

    @property
    def n_tokens(self) -> int:
        """T."""
        return self.context.n_tokens

    @property
    def n_sequence(self) -> int:
        """Tokens of the whole sequence that it is rotated for."""
        return self.context.n_sequence

    @property
    def beside(self) -> Beside:
        """What the layers that are not evicted hold of it."""
        return self.context.beside

    def layers(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each layer's (keys, values), in order; the context no longer holds a layer that was yielded."""
        while self.context.keys:
            yield self.context.keys.pop(0), self.context.values.pop(0)


class Holding:
    """The sink that holds every layer of a pass, and its score tables.

    Attributes:
        keys: Per layer [1, H, T, D].
        values: Per layer [1, H, T, D].
        tables: Per name float32 [L, 1, H, T].
        aside_s: 0; holding takes no time.
    """

    aside_s = 0.0

    def __init__(self, n_layers: int) -> None:
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.tables: dict[str, Tensor] = {}
        self._n_layers = n_layers
        self._stamps: list[Stamps] = []

    def take(self, index: int, keys: Tensor, values: Tensor, scores: Mapping[str, Tensor]) -> None:
        """Hold a layer; its scores are copied."""
        self.keys.append(keys)
        self.values.append(values)
        self._stamps.append(Stamps([(f"keys of layer {index}", keys), (f"values of layer {index}", values)]))
        for failed in self.tables.keys() - scores.keys():
            del self.tables[failed]
        for name, layer in scores.items():
            if name not in self.tables:
                shape = (self._n_layers, *layer.shape)
                self.tables[name] = torch.empty(shape, dtype=layer.dtype, device=layer.device)
            self.tables[name][index] = layer

    def written(self) -> list[str]:
        """Names of the tensors that were written into since they were taken."""
        return [name for stamps in self._stamps for name in stamps.written()]
