"""Feed a context in blocks: each attends to what is kept of those before it, and every layer is trimmed after it."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from ...kernels.form import Form
from ...kernels.ragged_store import RaggedStore, compact
from ...kernels.select import Kept
from ...kernels.store import KVStore
from ..models.load import LoadedModel
from ..models.states import CacheLayer, with_state
from .beside import Beside, Window
from .cache import PrefillObserver, StoreCache, StoreLayer
from .clock import Laps
from .evict import keep_everything
from .eviction_times import EvictionTimes
from .full_attention import full_attention
from .likelihood import empty_context
from .packing import Packing
from .prefill import context_seed
from .rotary import rotating_for
from .trimming import HeldLayer, Trim, Trimmer


class BlockStore(KVStore, Protocol):
    """A store of one row that is reduced after every block."""

    def keep(self, kept: Kept, room: int | None = None) -> None:
        """See `store.KVStore`; with room for so many tokens more, None = as much as there was."""


Store = TypeVar("Store", bound=BlockStore)


@dataclass(frozen=True)
class BlockPrefill:
    """A context to be read in blocks.

    Attributes:
        loaded: The model, switched to store attention.
        ids: Token ids of the context, at least one.
        n_sequence: Tokens of the whole sequence that the context begins, its answer included.
        block: Tokens of a block; the last may have fewer.
        trim: What is kept after each; None = everything.
        seed: The run's.
        times: Where it is noted when tokens are evicted; None = nowhere.
    """

    loaded: LoadedModel
    ids: tuple[int, ...]
    n_sequence: int
    block: int
    trim: Trim | None
    seed: int = 0
    times: EvictionTimes | None = None


@dataclass(frozen=True)
class BlockRecord:
    """What is kept of a context that was read in blocks, and its wall seconds.

    Attributes:
        cache: What is kept, with room for the rest of the sequence.
        kept: Per layer that is evicted.
        held: In each block per layer that is evicted, the slots of all these layers that were held as it attended.
        prefill_s: Of the model's own forward passes.
        score_s: Of scoring.
        select_s: Of selecting.
        compact_s: Of freeing what is not kept.
    """

    cache: StoreCache
    kept: list[Kept]
    held: list[int]
    prefill_s: float
    score_s: float
    select_s: float
    compact_s: float


class BlockLayer(StoreLayer):
    """Appends a block to a store, attends, then passes the block to the observer.

    The first block attends by the attention of a whole context: there is nothing before it.
    """

    def __init__(
        self,
        index: int,
        store: KVStore,
        packing: Packing,
        n_seen: Tensor,
        window: int | None,
        hand_over: PrefillObserver,
    ) -> None:
        super().__init__(index, store, packing, n_seen, window)
        self._hand_over = hand_over
        self._block: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Append the block, [1, H, N, D], and hold it until `attend`.

        Raises:
            RuntimeError: a block was appended already.
        """
        self._block = key_states, value_states
        return super().update(key_states, value_states)

    def attend(self, module: Any, query: Tensor, form: Form) -> Tensor:
        """Attend over the store, [1, HQ, N, D] -> [1, N, HQ, D]; later layers may do so, too."""
        block, self._block = self._block, None
        if block is None:
            return super().attend(module, query, form)
        if int(self.n_seen.max()):
            out = super().attend(module, query, form)
        else:
            out = full_attention(query, *block, form).transpose(1, 2)
        self._hand_over(self.index, module, query, *block, form)
        return out


class Reading(Generic[Store]):
    """A context while it is read.

    Args:
        request: What is read.
        store: Makes the store of a layer that is evicted.
        decide: What a layer keeps after a block, given (its place among the layers that are evicted, its attention
            module, the block's queries [1, HQ, N, D], its store, the form of its attention, the seed of the tokens so
            far); None = everything.

    Attributes:
        stores: By layer that is evicted, what it keeps, with room for the next block.
        beside: What is not evicted; recurrent states go on in place.
        n_seen: Tokens read so far.
        held: Slots of all layers that are evicted, counted in each block as each of these layers attends.
        whole: Times everything.
        compacting: Times the freeing of what is not kept.
        aside: Times what within the forward passes is not the model's own.
    """

    def __init__(
        self,
        request: BlockPrefill,
        store: Callable[[Tensor, Tensor, Kept, int], Store],
        decide: Callable[[int, Any, Tensor, Store, Form, int], Kept | None],
    ) -> None:
        self._request, self._decide = request, decide
        context = empty_context(request.loaded, request.n_sequence)
        layers = zip(context.layers(), keep_everything(context), strict=True)
        room = min(request.block, len(request.ids))
        self.stores: list[Store] = [store(*layer, kept, room) for layer, kept in layers]
        self.beside: Beside = context.beside
        self.n_seen, self.held = 0, list[int]()
        self.whole, self.compacting, self.aside = Laps(), Laps(), Laps()
        self._seed, self._kept, self._n_held = 0, dict[int, Kept](), 0
        self._windows: dict[int, Window] = {}

    def read(self) -> None:
        """Read the whole context."""
        loaded, ids, n_tokens = self._request.loaded, self._request.ids, len(self._request.ids)
        n_sequence, block = self._request.n_sequence, self._request.block
        with rotating_for(loaded.model, n_sequence, n_tokens), self.whole.lap(loaded.device):
            for start in range(0, n_tokens, block):
                n_left = n_tokens - start - block
                self._feed(ids[start : start + block], min(block, n_left) if n_left > 0 else n_sequence - n_tokens)

    def _feed(self, block: Sequence[int], room: int) -> None:
        """Feed a block and free what is not kept; each head then has `room` spare slots."""
        loaded = self._request.loaded
        packing, n_seen = Packing.of([block]), torch.tensor([self.n_seen])
        cache = Cache(layers=[*self._layers(packing, n_seen)])
        self.n_seen += len(block)
        self._seed = context_seed(self._request.seed, self._request.ids[: self.n_seen])
        loaded.model(
            input_ids=torch.tensor([block], device=loaded.device),
            position_ids=packing.continued(n_seen).unsqueeze(0).to(loaded.device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=[len(block) - 1],  # as in `prefill`
        )
        del cache
        times, self._n_held = self._request.times, 0
        for index, (store, device) in enumerate(zip(self.stores, loaded.layer_devices, strict=True)):
            with self.compacting.lap(device):
                kept = self._kept.get(index) or store.positions()
                store.keep(kept, room)
            self._n_held += int(kept.counts.sum())
            if times is not None:
                times.note(index, kept)
        self._kept.clear()
        self.beside = replace(self.beside, windows=self._windows)
        self._windows = {}

    def _layers(self, packing: Packing, n_seen: Tensor) -> list[CacheLayer]:
        """A cache layer for each layer of the model."""
        shape = self._request.loaded.shape
        places = {index: place for place, index in enumerate(shape.evicted)}
        layers: list[CacheLayer] = []
        for index, store in enumerate(self.beside.between(self.stores, 1, int(packing.lengths.max()))):
            attending = None
            if store is not None and index in places:
                attending = BlockLayer(places[index], store, packing, n_seen, None, self._trim)
            elif store is not None:
                window = shape.layers[index].window
                attending = BlockLayer(index, store, packing, n_seen, window, self._hold_window)
            layers.append(with_state(attending, self.beside.states.get(index)))
        return layers

    def _trim(self, index: int, module: Any, query: Tensor, keys: Tensor, _values: Tensor, form: Form) -> None:
        """Decide what a layer keeps; it is freed after the pass, since later layers may attend to it, too."""
        self._n_held += keys.shape[1] * keys.shape[2]
        self.held.append(self._n_held)
        with self.aside.lap(keys.device):
            kept = self._decide(index, module, query, self.stores[index], form, self._seed)
        if kept is not None:
            self._kept[index] = kept

    def _hold_window(self, index: int, _module: Any, _query: Tensor, keys: Tensor, values: Tensor, _: Form) -> None:
        """Hold the end of a layer with a sliding window."""
        before, window = self.beside.windows[index], self._request.loaded.shape.layers[index].window
        keys, values = torch.cat([before.keys, keys], dim=2), torch.cat([before.values, values], dim=2)
        self._windows[index] = Window.of(keys, values, window or keys.shape[2])


@torch.inference_mode(mode=False)  # inference tensors do not count writes
@torch.no_grad()
def read_blocks(request: BlockPrefill, n_rows: int = 1) -> BlockRecord:
    """Read a context block after block. Before a head holds more than its count, nothing of it is evicted.

    Args:
        request: What is read.
        n_rows: Rows of the cache, each with a copy of its own of what is kept.

    Raises:
        Tainted: the scorer changed something; the model is as it was loaded.
        ModelChanged: it changed the model's weights, and they cannot be read again.
        Exception: what the scorer or the allocator raised.
    """
    loaded, n_tokens = request.loaded, len(request.ids)
    trimmer = None if request.trim is None else Trimmer(loaded, request.trim)

    def decide(index: int, module: Any, query: Tensor, store: RaggedStore, form: Form, seed: int) -> Kept | None:
        return None if trimmer is None else trimmer.kept(HeldLayer(index, module, query, store, form), seed)

    with nullcontext() if trimmer is None else trimmer.reading():
        reading = Reading(request, partial(compact, backend=loaded.backend), decide)
        reading.read()
    room = request.n_sequence - n_tokens
    kept = [store.positions() for store in reading.stores]
    stores = reading.stores if n_rows == 1 else [store.copies(n_rows) for store in reading.stores]
    return BlockRecord(
        cache=StoreCache(stores, n_rows, n_tokens, request.n_sequence, reading.beside, room),
        kept=kept,
        held=reading.held,
        prefill_s=reading.whole.seconds - reading.aside.seconds - reading.compacting.seconds,
        score_s=0.0 if trimmer is None else sum(trimmer.scoring.score_s.values()),
        select_s=0.0 if trimmer is None else trimmer.select_s,
        compact_s=reading.compacting.seconds,
    )
