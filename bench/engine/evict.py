"""From a full cache and what is kept of it to the cache that decoding uses."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ...kernels.backend import Backend
from ...kernels.select import Kept
from ...kernels.shared_store import SharedStore
from .cache import StoreCache
from .context import Context
from .layouts import ragged

WatchLayer = Callable[[int, Tensor, Tensor], None]
"""Called with (place among the layers that are evicted, softmax weights of the context [B, H, G, Q, T], their rows'
first places [B])."""


def keep_everything(context: Context) -> list[Kept]:
    """Every position of every layer that is evicted: the full cache."""
    n_batch, n_heads, n_tokens, _ = context.keys[0].shape
    everything = torch.ones(n_batch, n_heads, n_tokens, dtype=torch.bool, device=context.keys[0].device)
    kept = Kept.of_mask(everything)
    return [kept.to(keys.device) for keys in context.keys]


def evict(context: Context, kept: Sequence[Kept], room: int, backend: Backend = "torch") -> StoreCache:
    """A ragged cache of the kept slots alone, with `room` spare slots a head for what is fed later."""
    return ragged(backend).build(context, [kept], room)


def share(context: Context, n_rows: int, room: int, watch: WatchLayer | None = None) -> StoreCache:
    """A cache of `n_rows` questions over the whole context, which decode as a batch.

    Args:
        context: The full cache; it is not copied.
        n_rows: Questions.
        room: Spare slots of each row to begin with.
        watch: Called with every layer's softmax weights of the context.
    """
    stores = [
        SharedStore.over(keys, values, n_rows, None, room, None if watch is None else partial(watch, index))
        for index, (keys, values) in enumerate(context.layers())
    ]
    return StoreCache(stores, n_rows, context.n_tokens, context.n_sequence, context.beside, room)
