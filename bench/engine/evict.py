"""From scores and keep counts to the stores that decoding uses."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ...kernels.ragged_store import RaggedStore, compact
from ...kernels.select import Kept, select
from ...kernels.shared_store import SharedStore
from .cache import StoreCache
from .prefill import Context

WatchLayer = Callable[[int, Tensor, Tensor], None]
"""Sees (layer index, softmax weights of the context [B, H, G, Q, T], which rows of the first batch they are [B])."""


def choose(counts: Tensor, scores: Tensor, protected: Tensor) -> list[Kept]:
    """The positions each layer keeps.

    Args:
        counts: int64 [L, B, H].
        scores: float32 [L, B, H, T], finite.
        protected: bool [T].
    """
    protected = protected.to(scores.device)
    return [select(layer, n, protected) for layer, n in zip(scores, counts, strict=True)]


def keep_everything(context: Context) -> list[Kept]:
    """Every position of every layer: the full cache, for which no scorer is asked."""
    n_batch, n_heads, n_tokens, _ = context.keys[0].shape
    device = context.keys[0].device
    everything = Kept(
        mask=torch.ones(n_batch, n_heads, n_tokens, dtype=torch.bool, device=device),
        positions=torch.arange(n_tokens, device=device).repeat(n_batch * n_heads),
        offsets=torch.arange(n_batch * n_heads + 1) * n_tokens,
    )
    return [everything] * len(context.keys)


def evict(context: Context, kept: Sequence[Kept], room: int) -> StoreCache:
    """A ragged cache of the kept slots alone, with `room` spare slots a head for what is fed later."""
    stores = [
        compact(keys, values, layer, room)
        for keys, values, layer in zip(context.keys, context.values, kept, strict=True)
    ]
    return StoreCache(stores, context.n_tokens, context.n_sequence)


def share(
    context: Context, rows: int, keep: Sequence[Tensor] | None, room: int, watch: WatchLayer | None = None
) -> StoreCache:
    """A cache of `rows` rows over the whole context.

    Args:
        context: The full cache; it is not copied.
        rows: Questions, or configurations, that decode as a batch.
        keep: Per layer bool [B, H, T], what each row sees of it; None = everything.
        room: Tail slots of each row to begin with.
        watch: Sees every layer's softmax weights of the context.
    """
    stores = [
        SharedStore.over(
            keys,
            values,
            rows,
            None if keep is None else keep[index],
            room,
            None if watch is None else partial(watch, index),
        )
        for index, (keys, values) in enumerate(zip(context.keys, context.values, strict=True))
    ]
    return StoreCache(stores, context.n_tokens, context.n_sequence)


def kept_bytes(cache: StoreCache) -> list[int]:
    """Per row the bytes of the slots in use in a ragged cache: slots x (key + value) x itemsize, no spare room."""
    if not all(isinstance(store, RaggedStore) for store in cache.stores):
        raise TypeError("only a ragged cache holds no more than what was kept")
    layers = [store.kv_bytes_by_row() for store in cache.stores if isinstance(store, RaggedStore)]
    return [sum(row) for row in zip(*layers, strict=True)]
