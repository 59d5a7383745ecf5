"""Feed a context once under full attention; take what scorers need while each layer is at hand."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from ...scorers.base import LayerView, Scorer
from ..errors import WriteError
from ..guard.stamps import Stamps
from ..models.load import LoadedModel
from .cache import PrefillLayer, PrefillObserver
from .clock import now
from .rotary import rotating_for
from .scoring import Scoring, Tainted
from .views import LayerAtHand, LayerInputs, watches


@dataclass
class Context:
    """A context's full cache and its score tables.

    Attributes:
        keys: Per layer [1, H, T, D].
        values: Per layer [1, H, T, D].
        scores: Per table name float32 [L, 1, H, T].
        failures: Per table name why there is none.
        prefill_s: Wall seconds of the forward pass, scoring left out.
        score_s: Per table its scorer's wall seconds over all layers.
        n_sequence: Tokens of the whole sequence that it is rotated for.
        again: Reads the context once more, for whoever finds it changed; None where it was not read.
    """

    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    scores: Mapping[str, Tensor]
    failures: Mapping[str, Exception]
    prefill_s: float
    score_s: Mapping[str, float]
    n_sequence: int
    again: "Callable[[], Context] | None" = None
    _stamps: Stamps = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._stamps = Stamps(self._tensors())

    def table(self, name: str) -> Tensor:
        """A table, float32 [L, 1, H, T]; raises what its scorer raised."""
        if name in self.failures:
            raise self.failures[name]
        return self.scores[name]

    @property
    def n_tokens(self) -> int:
        """T."""
        return self.keys[0].shape[2]

    @property
    def kv_bytes(self) -> int:
        """Bytes of the full cache, read off the tensors."""
        return sum(layer.nbytes for layer in (*self.keys, *self.values))

    def layers(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each layer's (keys, values), in order."""
        return zip(self.keys, self.values, strict=True)

    def restored(self) -> str | None:
        """What of it somebody wrote into; then it was read again. None where it is as it was read.

        Raises:
            RuntimeError: it was changed, and was never read.
        """
        written = self._stamps.written()
        if not written:
            return None
        if self.again is None:
            raise RuntimeError(f"the {written[0]} were changed, and there is nothing to read them again from")
        read = self.again()
        self.keys, self.values, self.scores = read.keys, read.values, read.scores
        self.failures = {**self.failures, **read.failures}
        self._stamps = Stamps(self._tensors())
        return written[0]

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for what, layers in (("keys", self.keys), ("values", self.values)):
            yield from ((f"{what} of layer {index}", layer) for index, layer in enumerate(layers))
        yield from ((f"scores of {name}", table) for name, table in self.scores.items())


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
    """Run the context through the model: once, and once more for each scorer that changes what it is shown.

    Args:
        loaded: The model, switched to store attention.
        ids: Token ids of the context, at least one.
        scorers: By the name their tables get; a scorer that reads the budget has a table for each.
        observers: Shown every layer while it is at hand, in each pass from its first layer on.
        n_kept: By the name of the table the tokens that its budget keeps in each head on average; needed where the
            scorer reads the budget.
        seed: The run's seed.
        n_sequence: Tokens of the whole sequence that the context begins, its answer included; None = the context's.

    Raises:
        ModelChanged: a scorer changed the model's weights, and they cannot be read again.
    """
    wanted = _Wanted(loaded, tuple(ids), observers, n_kept or {}, context_seed(seed, ids), n_sequence or len(ids))
    return _read_whole(wanted, scorers)


@dataclass(frozen=True)
class _Wanted:
    """A context to be read, whichever scorers look on."""

    loaded: LoadedModel
    ids: tuple[int, ...]
    observers: Sequence[PrefillObserver]
    n_kept: Mapping[str, int]
    drawn: int
    n_sequence: int


def _read_whole(wanted: _Wanted, scorers: Mapping[str, Scorer]) -> Context:
    """As many passes as it takes until no scorer changes anything."""
    going, barred = dict(scorers), dict[str, Exception]()
    while True:
        try:
            context = _read(wanted, going)
        except Tainted as taint:
            culprits = {taint.culprit: taint.error} if taint.culprit is not None else _culprits(wanted, going, taint)
            barred |= culprits
            going = {name: scorer for name, scorer in going.items() if name not in culprits}
        else:
            context.failures = {**context.failures, **barred}
            context.again = partial(_read_whole, wanted, {name: going[name] for name in context.scores})
            return context


def _culprits(wanted: _Wanted, scorers: Mapping[str, Scorer], taint: Tainted) -> Mapping[str, Exception]:
    """Who changed what was found changed when a pass had ended: each scorer by itself; all where none does it alone."""
    culprits: dict[str, Exception] = {}
    for name, scorer in scorers.items():
        try:
            _read(wanted, {name: scorer})
        except Tainted as alone:
            culprits[name] = alone.error
    reason = f"{taint.error}, or another of {', '.join(scorers)} did: none of them does it alone"
    return culprits or dict.fromkeys(scorers, WriteError(reason))


@torch.inference_mode(mode=False)  # tensors of an inference do not count the writes into them
@torch.no_grad()
def _read(wanted: _Wanted, scorers: Mapping[str, Scorer]) -> Context:
    """One pass.

    Raises:
        Tainted: a scorer changed something; the model is as it was loaded.
    """
    loaded, inputs = wanted.loaded, LayerInputs()
    weights = loaded.weights if scorers else None  # as loaded: nobody has seen a module before

    def see(name: str, scorer: Scorer, layer: LayerAtHand) -> LayerView:
        return layer.view(scorer.reads, wanted.n_kept.get(name), wanted.drawn)

    scoring = Scoring(loaded, scorers, see)

    def observe(index: int, module: Any, query: Tensor, keys: Tensor, values: Tensor) -> None:
        scoring.score(LayerAtHand(loaded.model, index, module, query, keys, values, inputs.kwargs))
        inputs.kwargs = {}
        for show in wanted.observers:
            show(index, module, query, keys, values)

    layers = [PrefillLayer(index, observe) for index in range(loaded.shape.n_layers)]
    started = now(loaded.device)
    try:
        _feed(wanted, scorers, layers, inputs)
        elapsed = now(loaded.device) - started
        scores = scoring.tables()
    except Tainted:
        raise
    except Exception:
        scoring.check()  # what a scorer broke may be why the model's own pass failed
        raise
    finally:
        scoring.close()
        if weights is not None:
            weights.restored()
    return Context(
        keys=[layer.context_keys for layer in layers],
        values=[layer.context_values for layer in layers],
        scores=scores,
        failures=scoring.failures,
        prefill_s=elapsed - scoring.aside_s,
        score_s=scoring.score_s,
        n_sequence=wanted.n_sequence,
    )


def _feed(wanted: _Wanted, scorers: Mapping[str, Scorer], layers: Sequence[PrefillLayer], inputs: LayerInputs) -> None:
    """The model's own pass over the context."""
    loaded = wanted.loaded
    with rotating_for(loaded.model, wanted.n_sequence, len(wanted.ids)), ExitStack() as hooks:
        if any(watches(scorer.reads) for scorer in scorers.values()):
            for attention in loaded.attention_modules:
                hooks.enter_context(inputs.watch(attention))
        loaded.model(
            input_ids=torch.tensor([wanted.ids], device=loaded.device),
            past_key_values=Cache(layers=[*layers]),
            use_cache=True,
            logits_to_keep=1,
        )


def context_seed(seed: int, ids: Sequence[int]) -> int:
    """63 bits for whatever a scorer draws: other contexts draw otherwise, whatever was run before them."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{[*ids]}".encode()).digest()[:8], "big") >> 1
