"""Our stores as transformers' caches."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, LinearAttentionLayer

from ...kernels.form import Form
from ...kernels.store import KVStore
from ..models.shape import Unsupported
from ..models.states import take_rows, with_state
from .beside import ALL_EVICTED, Beside
from .full_attention import full_attention
from .packing import Packing

COMPUTES = "it computes with the cached keys and values itself, outside of its attention function"


class UnsupportedAttribute(Unsupported, AttributeError):
    """A model uses an attribute of a cache layer that only tensors or other cache layers have."""


PrefillObserver = Callable[[int, Any, Tensor, Tensor, Tensor, Form], None]
"""Called once a layer with (layer index, attention module, query, keys, values, form of its attention)."""


class BaseLayer(CacheLayerMixin):
    """A layer of ours: `update` returns the layer itself, which then carries out attention.

    Attributes:
        index: Of the layer among those of its kind.
        window: Tokens that a query sees, its own included; None = all.
    """

    is_sliding = False

    def __init__(self, index: int, window: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        self.index = index
        self.window = window
        self.is_initialized = True
        self.is_fed = False

    def __getattr__(self, name: str) -> Any:
        if hasattr(Tensor, name):
            raise UnsupportedAttribute(COMPUTES)
        raise UnsupportedAttribute(f"it reads {name!r} of the cache, which holds only keys and values")

    @classmethod
    def __torch_function__(cls, *_: Any) -> Any:
        raise Unsupported(COMPUTES)

    def take_one_chunk(self) -> None:
        """Refuse a second chunk: a layer serves one forward pass.

        Raises:
            RuntimeError: this is the second.
        """
        if self.is_fed:
            raise RuntimeError(f"layer {self.index} was fed a second chunk in one forward pass")
        self.is_fed = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to prepare."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(length of a mask, its offset); store attention uses no mask."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """No limit."""
        return -1


class PrefillLayer(BaseLayer):
    """Attends over the context in one chunk, then passes its keys and values to the observer and releases them.

    Args:
        index: The observer's first argument.
        hand_over: The observer.
        window: Tokens that a query sees, its own included; None = all.
        is_lent: Whether later layers attend to the same keys and values: they are held for them until the pass ends.
    """

    def __init__(
        self, index: int, hand_over: PrefillObserver, window: int | None = None, *, is_lent: bool = False
    ) -> None:
        super().__init__(index, window)
        self._hand_over, self._is_lent, self._is_handed_over = hand_over, is_lent, False
        self._chunk: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Hold the context's keys and values until `attend`.

        Raises:
            RuntimeError: a context was fed already.
        """
        self.take_one_chunk()
        self._chunk = _own(key_states), _own(value_states)
        return self, self

    def attend(self, module: Any, query: Tensor, form: Form) -> Tensor:
        """Causal attention, [B, HQ, T, D] -> [B, T, HQ, D].

        Raises:
            RuntimeError: the chunk was attended to already, and is not lent.
        """
        if self._chunk is None:
            raise RuntimeError(f"layer {self.index} attends twice in one forward pass")
        keys, values = self._chunk
        if not self._is_lent:
            self._chunk = None
        out = full_attention(query, keys, values, form)
        if not self._is_handed_over:
            self._is_handed_over = True
            self._hand_over(self.index, module, query, keys, values, form)
        return out.transpose(1, 2)

    def get_seq_length(self) -> int:
        """0: the context is fed in one chunk."""
        return 0


def _own(states: Tensor) -> Tensor:
    """The states, copied if they are a view of a larger tensor (a fused projection), so that it can be freed."""
    return (
        states.clone(memory_format=torch.contiguous_format)
        if states.untyped_storage().nbytes() > states.nbytes
        else states
    )


class StoreLayer(BaseLayer):
    """Appends a chunk of every row to a store and lets it attend. The model sees the chunks as one line.

    Attributes:
        n_seen: int64 [B] on the CPU, tokens of each row before its chunk, including evicted ones.
    """

    def __init__(self, index: int, store: KVStore, packing: Packing, n_seen: Tensor, window: int | None = None) -> None:
        super().__init__(index, window)
        self.store = store
        self.packing = packing
        self.n_seen = n_seen

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Append the chunks, [1, H, N, D].

        Raises:
            RuntimeError: a chunk was appended already.
        """
        self.take_one_chunk()
        spread = self.packing.spread
        self.store.append(spread(key_states), spread(value_states), self.packing.lengths)
        return self, self

    def attend(self, module: Any, query: Tensor, form: Form) -> Tensor:
        """Attend over the store, [1, HQ, N, D] -> [1, N, HQ, D]."""
        return self.packing.join(self.store.attend(self.packing.spread(query), self.packing.lengths, form))

    def get_seq_length(self) -> int:
        """Tokens before the chunk in the longest row, including evicted ones: positions continue from there."""
        return int(self.n_seen.max())

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(tokens of the longest row with its chunk, 0): rows do not attend to each other."""
        return int((self.n_seen + self.packing.lengths).max()), 0


class StoreCache:
    """A store for each layer that keeps keys and values, over a context of T tokens, for a batch of rows.

    Attributes:
        stores: In the order of the layers.
        n_seen: int64 [B] on the CPU, tokens of each row so far, including evicted ones.
        n_sequence: Tokens of the whole sequence that the context was rotated for.
    """

    def __init__(
        self,
        evicted: Sequence[KVStore],
        n_rows: int,
        n_context: int,
        n_sequence: int,
        beside: Beside = ALL_EVICTED,
        room: int = 0,
    ) -> None:
        """`evicted` are the stores of the layers that are evicted; `beside` is what is not evicted, and `room` the
        initial spare slots of its windows in each row."""
        self._by_layer = beside.between(evicted, n_rows, room)
        self.stores = [store for store in self._by_layer if store is not None]
        self.n_seen = torch.full((n_rows,), n_context)
        self._n_context, self._beside = n_context, beside
        self._states: dict[int, LinearAttentionLayer] | None = None
        """Of each row after the tokens fed so far; None = those after the context."""
        self.n_sequence = n_sequence

    @property
    def has_states(self) -> bool:
        """Whether layers have recurrent states, which pass from each token of a row to the next."""
        return bool(self._beside.states)

    def chunk(self, packing: Packing) -> Cache:
        """A transformers cache for one forward pass over the next chunk of each row; they are added to `n_seen`."""
        n_seen = self.n_seen
        if self._states is None:
            self._states = self._rows_of(self._beside.states, torch.zeros(len(n_seen), dtype=torch.int64))
        self.n_seen = n_seen + packing.lengths
        windows = [layer.window for layer in self._beside.layers] or [None] * len(self._by_layer)
        return Cache(
            layers=[
                with_state(
                    None if store is None else StoreLayer(index, store, packing, n_seen, window),
                    self._states.get(index),
                )
                for index, (store, window) in enumerate(zip(self._by_layer, windows, strict=True))
            ]
        )

    def keep_rows(self, rows: Tensor) -> None:
        """Drop all rows of the batch but these: int64, ascending indices in the present batch."""
        for store in self.stores:
            store.keep_rows(rows)
        if self._states is not None:
            self._states = self._rows_of(self._states, rows)
        self.n_seen = self.n_seen[rows]

    @staticmethod
    def _rows_of(states: Mapping[int, LinearAttentionLayer], rows: Tensor) -> dict[int, LinearAttentionLayer]:
        return {index: take_rows(state, rows) for index, state in states.items()}

    def take_back(self, n: Tensor) -> None:
        """Drop the last n[b] tokens of each row, int64 [B].

        Raises:
            ValueError: a row has fewer tokens after the context, or some but not all are taken back from a state.
        """
        if self.has_states and not torch.equal(n, self.n_seen - self._n_context):
            raise ValueError("a recurrent state gives back all tokens fed after the context, or none")
        for store in self.stores:
            store.take_back(n)
        self._states = None
        self.n_seen = self.n_seen - n

    def take_all_back(self) -> None:
        """Drop every token fed after the context, including those that an interrupt left in only some layers."""
        for store in self.stores:
            store.take_back(store.n_appended())
        self._states = None
        self.n_seen = torch.full_like(self.n_seen, self._n_context)

    def kv_bytes_by_row(self) -> list[int]:
        """Per row the bytes of the slots that it attends to, slots x (key + value) over all layers, no spare slots, and
        those of its recurrent states."""
        states = self._beside.state_bytes
        return [states + sum(row) for row in zip(*(store.kv_bytes_by_row() for store in self.stores), strict=True)]

    @property
    def allocated_bytes(self) -> int:
        """Bytes of all keys and values that the stores keep alive, spare slots included, and of the recurrent states
        after the context and in each row."""
        n_states = 1 + (0 if self._states is None else len(self.n_seen))
        return sum(store.allocated_bytes for store in self.stores) + n_states * self._beside.state_bytes
