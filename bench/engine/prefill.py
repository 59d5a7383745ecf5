"""Feed a context once under full attention. Each layer is scored during its forward, then passed to a sink."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from ...kernels.form import Form
from ...scorers.base import LayerView, Scorer
from ..errors import WriteError
from ..models.load import LoadedModel
from ..models.states import CacheLayer, with_state
from .beside import Beside, Window
from .cache import PrefillLayer, PrefillObserver
from .clock import Laps
from .context import Context, Holding
from .read_layers import ReadLayers
from .replayed import with_replay
from .rotary import rotating_for
from .scoring import Scoring, Tainted
from .views import LayerAtHand, LayerInputs, watches, watching


class Sink(Protocol):
    """Receives each layer that is evicted after its attention and its scores are computed.

    Attributes:
        aside_s: Wall seconds spent in it, which do not count as the model's.
    """

    @property
    def aside_s(self) -> float: ...  # noqa: D102

    def take(self, index: int, keys: Tensor, values: Tensor, scores: Mapping[str, Tensor]) -> None:
        """Receive a layer.

        Args:
            index: Its place among the layers that are evicted; they come in order.
            keys: [1, H, T, D]; the pass no longer holds them.
            values: [1, H, T, D].
            scores: By table float32 [1, H, T], of the scorers that did not fail; to be copied if kept.
        """

    def written(self) -> list[str]:
        """Names of its tensors that were written into since it received them."""


@dataclass(frozen=True)
class Prefill:
    """A context to be read, and the scorers that rank it.

    Attributes:
        loaded: The model, switched to store attention.
        ids: Token ids of the context, at least one.
        n_sequence: Tokens of the whole sequence that the context begins, its answer included.
        seed: The run's.
        scorers: By the name their tables get; a scorer that reads the budget has a table for each.
        n_kept: By the name of the table the tokens that its budget keeps in each head on average; needed where the
            scorer reads the budget.
        observers: Called with every layer that is evicted during its forward, in each pass.
    """

    loaded: LoadedModel
    ids: tuple[int, ...]
    n_sequence: int
    seed: int = 0
    scorers: Mapping[str, Scorer] = field(default_factory=dict)
    n_kept: Mapping[str, int] = field(default_factory=dict)
    observers: Sequence[PrefillObserver] = ()

    @property
    def replaying(self) -> Mapping[str, Scorer]:
        """The scorers that read a replay of the context, which is made once it was read."""
        return {name: scorer for name, scorer in self.scorers.items() if scorer.reads.replay}

    @property
    def at_once(self) -> "Prefill":
        """A copy with only the scorers that score each layer while the context is read."""
        return self.with_tables(self.scorers.keys() - self.replaying.keys())

    def with_tables(self, names: Collection[str]) -> "Prefill":
        """A copy with only the named scorers."""
        return replace(self, scorers={name: scorer for name, scorer in self.scorers.items() if name in names})


@dataclass(frozen=True)
class PassRecord:
    """Timings and scorer failures of one pass.

    Attributes:
        prefill_s: Wall seconds of the model's own forward pass.
        score_s: Per table its scorer's wall seconds over all layers.
        failures: Per table what its scorer raised.
        beside: What the layers hold that is not evicted.
    """

    prefill_s: float
    score_s: Mapping[str, float]
    failures: Mapping[str, Exception]
    beside: Beside


def prefill(
    loaded: LoadedModel,
    ids: Sequence[int],
    scorers: Mapping[str, Scorer],
    observers: Sequence[PrefillObserver] = (),
    *,
    n_kept: Mapping[str, int] | None = None,
    seed: int = 0,
    n_sequence: int | None = None,
) -> Context:
    """Read a context and hold all of it: in one pass, and one more for each scorer that changes what it is shown.

    The arguments are those of `Prefill`; without `n_sequence` the context is the whole sequence.

    Raises:
        ModelChanged: a scorer changed the model's weights, and they cannot be read again.
    """
    return hold(Prefill(loaded, tuple(ids), n_sequence or len(ids), seed, scorers, n_kept or {}, observers))


def hold(request: Prefill) -> Context:
    """Read a context; repeat without the scorers that changed something. Raises as `prefill`."""
    current, barred = request, dict[str, Exception]()
    while True:
        sink, read = Holding(request.loaded.shape.n_layers), ReadLayers()
        try:
            first = current.at_once
            if current.replaying:
                first = replace(first, observers=(*first.observers, read.see))
            context = _context(sink, read_into(sink, first), current, barred)
            if not current.replaying:
                return context
            drawn = context_seed(current.seed, current.ids)
            return with_replay(
                current.loaded, context, current.ids, read.layers, current.replaying, current.n_kept, drawn
            )
        except Tainted as taint:
            culprits = {taint.culprit: taint.error} if taint.culprit is not None else _culprits(current, taint)
            barred |= culprits
            current = current.with_tables(current.scorers.keys() - culprits.keys())
            del sink


def _context(sink: Holding, record: PassRecord, request: Prefill, barred: Mapping[str, Exception]) -> Context:
    return Context(
        keys=sink.keys,
        values=sink.values,
        scores={name: table for name, table in sink.tables.items() if name not in record.failures},
        failures={**record.failures, **barred},
        prefill_s=record.prefill_s,
        score_s=record.score_s,
        n_sequence=request.n_sequence,
        read_again=partial(_hold_tables, request),
        beside=record.beside,
    )


def _hold_tables(request: Prefill, names: Collection[str]) -> Context:
    return hold(request.with_tables(names))


def _culprits(request: Prefill, taint: Tainted) -> Mapping[str, Exception]:
    """The scorers behind a change that was found after a pass. Each is run alone; if none repeats it, all are."""
    culprits: dict[str, Exception] = {}
    for name in request.at_once.scorers:  # those that read a replay are run one by one anyway
        try:
            read_into(Holding(request.loaded.shape.n_layers), request.with_tables({name}))
        except Tainted as alone:
            culprits[name] = alone.error
    suspects = request.at_once.scorers
    reason = f"{taint.error}, or another of {', '.join(suspects)} did: none of them does it alone"
    return culprits or dict.fromkeys(suspects, WriteError(reason))


class _Pass:
    """One pass: scores each layer after its attention and passes it to the sink."""

    def __init__(self, request: Prefill, sink: Sink) -> None:
        self.inputs = LayerInputs()
        self.scoring = Scoring(request.loaded, request.scorers, self._view, sink.written)
        self._request, self._sink = request, sink
        self._drawn = context_seed(request.seed, request.ids)
        self._windows: dict[int, Window] = {}
        self._states = Beside.empty(request.loaded.shape.layers).states

    @property
    def beside(self) -> Beside:
        """What the layers hold that is not evicted, after the pass."""
        return Beside(self._request.loaded.shape.layers, self._windows, self._states)

    def layers(self) -> list[CacheLayer]:
        """A cache layer for each layer of the model. Since a model does not say whose keys and values a layer borrows,
        all are held for it where one borrows."""
        shape = self._request.loaded.shape
        is_lent = any(layer.kind == "borrowed" for layer in shape.layers)
        places = {index: place for place, index in enumerate(shape.evicted)}
        layers: list[CacheLayer] = []
        for index, layer in enumerate(shape.every_layer):
            attending = None
            if layer.kind == "full":
                attending = PrefillLayer(places[index], self.hand_over, is_lent=is_lent)
            elif layer.kind == "window":
                attending = PrefillLayer(index, self.hold_window, layer.window, is_lent=is_lent)
            layers.append(with_state(attending, self._states.get(index)))
        return layers

    def _view(self, name: str, scorer: Scorer, layer: LayerAtHand) -> LayerView:
        return layer.view(scorer.reads, self._request.n_kept.get(name), self._drawn)

    def hand_over(self, index: int, module: Any, query: Tensor, keys: Tensor, values: Tensor, form: Form) -> None:
        """Score a layer and pass it to the sink."""
        loaded, kwargs = self._request.loaded, self.inputs.kwargs
        layer = LayerAtHand(loaded.model, index, module, query, keys, values, form, kwargs, backend=loaded.backend)
        scores = self.scoring.score(layer)
        self.inputs.kwargs = {}
        for observe in self._request.observers:
            observe(index, module, query, keys, values, form)
        self._sink.take(index, keys, values, scores)

    def hold_window(self, index: int, _module: Any, _query: Tensor, keys: Tensor, values: Tensor, _: Form) -> None:
        """Hold the end of a layer with a sliding window."""
        window = self._request.loaded.shape.layers[index].window
        self._windows[index] = Window.of(keys, values, window or keys.shape[2])


@torch.inference_mode(mode=False)  # inference tensors do not count writes
@torch.no_grad()
def read_into(sink: Sink, request: Prefill) -> PassRecord:
    """One pass; exceptions of the sink propagate.

    Raises:
        Tainted: a scorer changed something; the model is as it was loaded.
        ModelChanged: it changed the model's weights, and they cannot be read again.
    """
    loaded, one, whole = request.loaded, _Pass(request, sink), Laps()
    with one.scoring.guarding(), whole.lap(loaded.device):
        _feed(request, one)
    return PassRecord(
        whole.seconds - one.scoring.aside_s - sink.aside_s, one.scoring.score_s, one.scoring.failures, one.beside
    )


def _feed(request: Prefill, one: _Pass) -> None:
    """The model's own forward pass over the context."""
    loaded = request.loaded
    with rotating_for(loaded.model, request.n_sequence, len(request.ids)), ExitStack() as hooks:
        if any(watches(scorer.reads) for scorer in request.scorers.values()):
            hooks.enter_context(watching(loaded, one.inputs.keep))
        loaded.model(
            input_ids=torch.tensor([request.ids], device=loaded.device),
            past_key_values=Cache(layers=[*one.layers()]),
            use_cache=True,
            logits_to_keep=[len(request.ids) - 1],  # given a number, Gemma 4 cuts masks, of which we have none
        )


def context_seed(seed: int, ids: Sequence[int]) -> int:
    """A 63-bit seed for scorers that draw at random; it depends on the run's seed and the context's tokens alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{[*ids]}".encode()).digest()[:8], "big") >> 1
