"""From a full cache and what is kept of it to the cache that decoding uses."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...kernels.backend import Backend
from ...kernels.select import Kept
from ...kernels.shared_store import SharedStore, Watch
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


def share(
    context: Context, n_rows: int, room: int, watch: WatchLayer | None = None, *, with_tail: bool = False
) -> StoreCache:
    """A cache of `n_rows` questions over the whole context, which decode as a batch.

    Args:
        context: The full cache; it is not copied.
        n_rows: Questions.
        room: Spare slots of each row to begin with.
        watch: Called with every layer's softmax weights of the context.
        with_tail: Whether it gets those of what each row was fed, too, behind the context's: [B, H, G, Q, T + fed].
    """
    n_seen = None if with_tail else context.n_tokens

    def watching(index: int) -> Watch | None:
        return None if watch is None else lambda weights, rows: watch(index, weights[..., :n_seen], rows)

    stores = [
        SharedStore.over(keys, values, n_rows, None, room, watching(index))
        for index, (keys, values) in enumerate(context.layers())
    ]
    return StoreCache(stores, n_rows, context.n_tokens, context.n_sequence, context.beside, room)
