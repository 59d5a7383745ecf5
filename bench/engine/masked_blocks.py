"""The oracle of an eviction block by block: nothing is freed, and masks hide from a block what was evicted before."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...kernels.form import Form
from ...kernels.positions import check_held
from ...kernels.select import Kept
from ...kernels.shared_store import SharedStore
from .blocks import BlockPrefill, Reading
from .cache import StoreCache
from .eviction_times import EvictionTimes


@dataclass
class MaskedStore(SharedStore):
    """A store of one row that holds every token it was fed; what `keep` drops is hidden."""

    def keep(self, kept: Kept, room: int | None = None) -> None:
        """Hide what is not kept. The tail joins the context, and a new one has `room` slots, None = none."""
        check_held(kept, self.positions())
        n_new, (_, n_heads, _, dim) = int(self.n_appended()), self.keys.shape
        tails = (flat.view(1, n_heads, -1, dim)[:, :, :n_new] for flat in (self.tail.keys, self.tail.values))
        keys, values = (torch.cat(both, dim=2) for both in zip((self.keys, self.values), tails, strict=True))
        whole = SharedStore.over(keys, values, 1, kept.mask, room or 0)
        self.keys, self.values, self.mask = keys, values, whole.mask
        self.tail, self.base = whole.tail, whole.base


def masked(keys: Tensor, values: Tensor, _kept: Kept, room: int) -> MaskedStore:
    """A store over a context without tokens."""
    return MaskedStore.over(keys, values, 1, None, room)


@torch.no_grad()
def read_masked(request: BlockPrefill, times: EvictionTimes) -> StoreCache:
    """Read a context in blocks, each of which sees of those before it what was kept then, over stores that hold all.

    Args:
        request: What is read; nothing is scored.
        times: When each token was evicted.
    """

    def decide(index: int, _module: Any, _query: Tensor, store: MaskedStore, _form: Form, _seed: int) -> Kept:
        return times.kept(index, store.positions().mask.shape[-1])

    reading = Reading(request, masked, decide)
    reading.read()
    n_tokens = len(request.ids)
    return StoreCache(reading.stores, 1, n_tokens, request.n_sequence, reading.beside, request.n_sequence - n_tokens)
