"""Feed a context in blocks: each attends to what is kept of those before it, and every layer is trimmed after it."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

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
from .clock import now
from .evict import keep_everything
from .full_attention import full_attention
from .likelihood import empty_context
from .packing import Packing
from .prefill import context_seed
from .rotary import rotating_for
from .trimming import HeldLayer, Trim, Trimmer


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
    """

    loaded: LoadedModel
    ids: tuple[int, ...]
    n_sequence: int
    block: int
    trim: Trim | None
    seed: int = 0


@dataclass(frozen=True)
class BlockRecord:
    """What is kept of a context that was read in blocks, and its wall seconds.

    Attributes:
        cache: What is kept, with room for the rest of the sequence.
        kept: Per layer that is evicted.
        prefill_s: Of the model's own forward passes.
        score_s: Of scoring.
        select_s: Of selecting.
        compact_s: Of freeing what is not kept.
    """

    cache: StoreCache
    kept: list[Kept]
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


class _Reading:
    """A context while it is read.

    Attributes:
        stores: By layer that is evicted, what it keeps, with room for the next block.
        beside: What is not evicted; recurrent states go on in place.
        n_seen: Tokens read so far.
        compact_s: Wall seconds of freeing what is not kept.
        aside_s: Wall seconds within the forward passes that are not the model's own.
    """

    def __init__(self, request: BlockPrefill, trimmer: Trimmer | None) -> None:
        self._request, self._trimmer = request, trimmer
        context = empty_context(request.loaded, request.n_sequence)
        layers = zip(context.layers(), keep_everything(context), strict=True)
        room = min(request.block, len(request.ids))
        backend = request.loaded.backend
        self.stores: list[RaggedStore] = [compact(*layer, kept, room, backend=backend) for layer, kept in layers]
        self.beside: Beside = context.beside
        self.n_seen, self.compact_s, self.aside_s = 0, 0.0, 0.0
        self._seed, self._kept = 0, dict[int, Kept]()
        self._windows: dict[int, Window] = {}

    def feed(self, block: Sequence[int], room: int) -> None:
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
        began = now(*loaded.devices)
        for index, store in enumerate(self.stores):
            store.keep(self._kept.get(index) or store.positions(), room)
        self._kept.clear()
        self.beside = replace(self.beside, windows=self._windows)
        self._windows = {}
        self.compact_s += now(*loaded.devices) - began

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
        if self._trimmer is None:
            return
        began = now(keys.device)
        kept = self._trimmer.kept(HeldLayer.of(index, module, query, self.stores[index], form), self._seed)
        if kept is not None:
            self._kept[index] = kept
        self.aside_s += now(keys.device) - began

    def _hold_window(self, index: int, _module: Any, _query: Tensor, keys: Tensor, values: Tensor, _: Form) -> None:
        """Hold the end of a layer with a sliding window."""
        before, window = self.beside.windows[index], self._request.loaded.shape.layers[index].window
        keys, values = torch.cat([before.keys, keys], dim=2), torch.cat([before.values, values], dim=2)
        self._windows[index] = Window.of(keys, values, window or keys.shape[2])


@torch.inference_mode(mode=False)  # inference tensors do not count writes
@torch.no_grad()
def read_blocks(request: BlockPrefill) -> BlockRecord:
    """Read a context block after block. Before a head holds more than its count, nothing of it is evicted.

    Raises:
        Tainted: the scorer changed something; the model is as it was loaded.
        ModelChanged: it changed the model's weights, and they cannot be read again.
        Exception: what the scorer or the allocator raised.
    """
    loaded, ids, n_tokens = request.loaded, request.ids, len(request.ids)
    trimmer = None if request.trim is None else Trimmer(loaded, request.trim)
    with ExitStack() as within:
        if trimmer is not None:
            within.enter_context(trimmer.reading())
        within.enter_context(rotating_for(loaded.model, request.n_sequence, n_tokens))
        reading, started = _Reading(request, trimmer), now(*loaded.devices)
        for start in range(0, n_tokens, request.block):
            n_left = n_tokens - start - request.block
            room = min(request.block, n_left) if n_left > 0 else request.n_sequence - n_tokens
            reading.feed(ids[start : start + request.block], room)
        elapsed = now(*loaded.devices) - started
    room = request.n_sequence - n_tokens
    return BlockRecord(
        cache=StoreCache(reading.stores, 1, n_tokens, request.n_sequence, reading.beside, room),
        kept=[store.positions() for store in reading.stores],
        prefill_s=elapsed - reading.aside_s - reading.compact_s,
        score_s=0.0 if trimmer is None else sum(trimmer.scoring.score_s.values()),
        select_s=0.0 if trimmer is None else trimmer.select_s,
        compact_s=reading.compact_s,
    )
