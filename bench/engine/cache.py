"""transformers' cache classes around our stores."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.cache_utils import Cache, CacheLayerMixin

from ...kernels.store import KVStore
from ..models.shape import Unsupported

COMPUTES = "it computes with the cached keys and values itself, outside of its attention function"


class Missing(Unsupported, AttributeError):
    """A model wants of a cache layer what tensors or other layers have."""


PrefillObserver = Callable[[int, Any, Tensor, Tensor, Tensor], None]
"""Called once a layer with (layer index, attention module, query, keys, values)."""


class _Layer(CacheLayerMixin):
    """What both layers share: `update` hands the layer itself to the attention function."""

    is_sliding = False

    def __init__(self, index: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        self.index = index
        self.is_initialized = True

    def __getattr__(self, name: str) -> Any:
        if hasattr(Tensor, name):
            raise Missing(COMPUTES)
        raise Missing(f"it asks the cache for {name!r}, and only keys and values are kept")

    @classmethod
    def __torch_function__(cls, *_: Any) -> Any:
        raise Unsupported(COMPUTES)

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to prepare."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(keys and values that a mask would span, offset); no mask is made for our attention."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """No limit."""
        return -1


class PrefillLayer(_Layer):
    """Takes in the context in one chunk under full causal attention and shows it to an observer."""

    def __init__(self, index: int, observe: PrefillObserver) -> None:
        super().__init__(index)
        self.observe = observe
        self.context_keys: Tensor
        self.context_values: Tensor

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Hold the context's keys and values."""
        self.context_keys, self.context_values = _own(key_states), _own(value_states)
        return self, self

    def attend(self, module: Any, query: Tensor, scale: float) -> Tensor:
        """Causal attention, [B, HQ, T, D] -> [B, T, HQ, D]."""
        self.observe(self.index, module, query, self.context_keys, self.context_values)
        out = functional.scaled_dot_product_attention(
            query,
            self.context_keys,
            self.context_values,
            is_causal=query.shape[2] > 1,
            scale=scale,
            enable_gqa=True,
        )
        return out.transpose(1, 2)

    def get_seq_length(self) -> int:
        """0: the context is fed in one chunk."""
        return 0


def _own(states: Tensor) -> Tensor:
    """The states without the rest of a larger tensor that they are a part of (a fused projection's)."""
    return (
        states.clone(memory_format=torch.contiguous_format)
        if states.untyped_storage().nbytes() > states.nbytes
        else states
    )


class StoreLayer(_Layer):
    """Appends to one of our stores and lets it attend."""

    def __init__(self, index: int, store: KVStore, cache: "StoreCache") -> None:
        super().__init__(index)
        self.store = store
        self.cache = cache

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Append the chunk."""
        self.store.append(key_states, value_states, self.cache.chunk_lengths(key_states))
        return self, self

    def attend(self, module: Any, query: Tensor, scale: float) -> Tensor:
        """Attend over the store, [B, HQ, Q, D] -> [B, Q, HQ, D]."""
        return self.store.attend(query, self.cache.chunk_lengths(query), scale)

    def get_seq_length(self) -> int:
        """Tokens seen so far, evicted ones included: positions go on from there."""
        return self.cache.n_seen(self.index)


class StoreCache(Cache):
    """A cache of stores, one a layer, over a context of T tokens.

    Attributes:
        n_sequence: Tokens of the whole sequence that the context was rotated for.
        new_lengths: int64 [B] on the CPU, how many tokens of the coming chunk are real in each row; None = all
            of them in every row.
    """

    def __init__(self, stores: Sequence[KVStore], n_context: int, n_sequence: int) -> None:
        # A proxy, since a circle would keep the stores until Python's collector finds it: gigabytes for nothing.
        own = weakref.proxy(self)
        super().__init__(layers=[StoreLayer(index, store, own) for index, store in enumerate(stores)])
        self.stores = stores
        self.n_sequence = n_sequence
        self.new_lengths: Tensor | None = None
        self._seen = [n_context] * len(stores)

    def chunk_lengths(self, chunk: Tensor) -> Tensor:
        """int64 [B]: the real tokens in each row of a chunk [B, heads, Q, D]."""
        if self.new_lengths is not None:
            return self.new_lengths
        return torch.full((chunk.shape[0],), chunk.shape[2], dtype=torch.int64)

    def keep_rows(self, rows: Tensor) -> None:
        """Go on with some rows of the batch alone: int64, ascending places in the present batch."""
        for store in self.stores:
            store.keep_rows(rows)

    def n_seen(self, index: int) -> int:
        """Logical length of a layer: context plus every chunk fed so far."""
        return self._seen[index]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Any, Any]:
        """Append a chunk to a layer's store and count it."""
        returned = super().update(key_states, value_states, layer_idx, *args, **kwargs)
        self._seen[layer_idx] += key_states.shape[2]
        return returned
