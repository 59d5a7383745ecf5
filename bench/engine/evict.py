"""From scores and keep counts to the stores that decoding uses."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...kernels.ragged_store import RaggedStore, compact
from ...kernels.select import Kept, select
from ...kernels.shared_store import SharedStore
from .cache import StoreCache
from .prefill import Context


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
    scores = torch.zeros(1, context.keys[0].shape[1], context.n_tokens, device=context.keys[0].device)
    counts = torch.full(scores.shape[:2], context.n_tokens, dtype=torch.int64)
    return [select(scores, counts, torch.zeros_like(scores[0, 0], dtype=torch.bool))] * len(context.keys)


def evict(context: Context, kept: Sequence[Kept], room: int) -> StoreCache:
    """A ragged cache of the kept slots alone, with `room` spare slots a head for what is fed later."""
    stores = [
        compact(keys, values, layer, room)
        for keys, values, layer in zip(context.keys, context.values, kept, strict=True)
    ]
    return StoreCache(stores, context.n_tokens)


def share(context: Context, rows: int, keep: Sequence[Tensor] | None, room: int) -> StoreCache:
    """A cache of `rows` rows over the whole context; `keep` (per layer bool [B, H, T]) hides what was evicted."""
    stores = [
        SharedStore.over(keys, values, rows, None if keep is None else keep[index], room)
        for index, (keys, values) in enumerate(zip(context.keys, context.values, strict=True))
    ]
    return StoreCache(stores, context.n_tokens)


def kept_bytes(cache: StoreCache) -> int:
    """Bytes of the slots that a ragged cache holds, read off its tensors."""
    return sum(store.kv_bytes for store in cache.stores if isinstance(store, RaggedStore))
