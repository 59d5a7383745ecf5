"""Scores each layer of a pass. A scorer that raises loses only its own table, and each is timed by itself."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ...scorers.base import Scorer
from ..errors import WriteError, without_frames
from ..guard.call import package_of, plugin_code
from ..guard.module_state import ModuleState
from ..guard.process import ProcessState
from ..guard.stamps import Stamps
from ..models.load import LoadedModel
from .clock import Laps
from .gauge import Gauge
from .views import LayerAtHand

View = Callable[[str, Scorer, LayerAtHand], Any]
"""Makes a scorer's view, from its table's name, the scorer and the layer."""


class ScoreError(Exception):
    """A scorer's table violates its contract."""


class Tainted(Exception):
    """A scorer changed something during a pass, which is thereby invalid for all scorers.

    Attributes:
        culprit: The table of that scorer; None if the change was found only after the pass.
        error: What was changed.
    """

    def __init__(self, culprit: str | None, error: WriteError) -> None:
        super().__init__(str(error))
        self.culprit = culprit
        self.error = error


class Scoring:
    """The scorers of one pass.

    Attributes:
        failures: Per table what its scorer raised.
    """

    def __init__(
        self, loaded: LoadedModel, scorers: Mapping[str, Scorer], view: View, written: Callable[[], list[str]]
    ) -> None:
        """`written` returns the names of earlier layers' tensors that were written into."""
        self.failures: dict[str, Exception] = {}
        self._scoring, self._aside = {name: Laps() for name in scorers}, Laps()
        self._loaded, self._scorers, self._view, self._written = loaded, scorers, view, written
        self._columns: dict[str, int] = {}
        self._process = ProcessState.take()

    @property
    def score_s(self) -> dict[str, float]:
        """Per table the seconds of its scorer alone."""
        return {name: laps.seconds for name, laps in self._scoring.items()}

    @property
    def aside_s(self) -> float:
        """Seconds spent here, which do not count as the model's."""
        return self._aside.seconds

    def score(self, layer: LayerAtHand) -> dict[str, Tensor]:
        """Every scorer's scores of a layer, float32 [B, H, T], except of those that failed.

        Raises:
            Tainted: a scorer changed its inputs.
        """
        if not self._scorers:
            return {}
        scores: dict[str, Tensor] = {}
        with self._aside.lap(layer.keys.device):
            for name, scorer in self._scorers.items():
                if name not in self.failures:
                    self._score(name, scorer, layer, scores)
        return scores

    def _score(self, name: str, scorer: Scorer, layer: LayerAtHand, scores: dict[str, Tensor]) -> None:
        shown = Stamps(_shown(layer, scorer))
        module = ModuleState(layer.module) if scorer.reads.module else None
        try:
            measures = isinstance(scorer, Gauge)
            table = _checked(self._timed(name, scorer, layer), layer, measures=measures)
            if measures and self._columns.setdefault(name, table.shape[2]) != table.shape[2]:
                raise ScoreError(f"measures have {table.shape[2]} columns, and {self._columns[name]} in earlier layers")
            scores[name] = table
        except Exception as error:  # a plugin may raise anything; the other scorers continue
            self.failures[name] = without_frames(error)
        changed = [*shown.written(), *(module.restore() if module is not None else ())]
        if changed:
            reason = f"it changed the {changed[0]} of layer {layer.index}: what a scorer is shown is for reading"
            raise Tainted(name, WriteError(reason))

    def _timed(self, name: str, scorer: Scorer, layer: LayerAtHand) -> Any:
        with self._scoring[name].lap(layer.keys.device):
            view = self._view(name, scorer, layer)
            plugin = scorer.plugin if isinstance(scorer, Gauge) else scorer
            with plugin_code(package_of(plugin)), torch.no_grad():
                return scorer.score(view)

    def check(self) -> None:
        """Check that earlier layers, the model's weights and torch itself are unchanged.

        Raises:
            Tainted: a scorer changed one of them.
        """
        if not self._scorers:
            return
        replaced = self._process.changed()
        written = [*self._written(), *(f"model's {name}" for name in self._loaded.weights.written())]
        if replaced or written:
            what = f"the {written[0]}, which it was shown for reading" if written else replaced[0]
            culprit = next(iter(self._scorers)) if len(self._scorers) == 1 else None
            raise Tainted(culprit, WriteError(f"it changed {what}"))

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Within the block a model runs, and its layers are scored; afterwards everything is checked and restored.

        Raises:
            Tainted: a scorer changed something; the model is as it was loaded.
            ModelChanged: it changed the model's weights, and they cannot be read again.
        """
        weights = self._loaded.weights if self._scorers else None  # as loaded: no plugin has had access before
        try:
            yield
            self.check()
        except Tainted:
            raise
        except Exception:
            self.check()  # a scorer's change may be why the model's own pass failed
            raise
        finally:
            if self._scorers:
                self._process.restore()  # the functions of torch that a scorer replaced
            if weights is not None:
                weights.restored()


def _cached(layer: LayerAtHand) -> Iterator[tuple[str, Tensor]]:
    yield "keys", layer.keys
    yield "values", layer.values


def _shown(layer: LayerAtHand, scorer: Scorer) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the model that a scorer can reach from its view of the layer."""
    yield from _cached(layer)
    yield "queries", layer.query
    if layer.sinks is not None:
        yield "sinks", layer.sinks
    if layer.future is not None:
        yield "future", layer.future
    if layer.replay is not None:
        yield "replay", layer.replay
    yield from _tensors("", layer.kwargs)
    if scorer.reads.module:
        yield from layer.module.named_parameters()
        yield from layer.module.named_buffers()
    elif scorer.reads.output_weight and (weight := layer.output_weight) is not None:
        yield "output weight", weight


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _tensors(name or str(key), item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(name, item)


def _checked(scores: Any, layer: LayerAtHand, *, measures: bool) -> Tensor:
    """Refuse a layer's scores that are not finite float32 [B, H, T], and measures that are not [B, H, n]."""
    keys, what = layer.keys, "measures" if measures else "scores"
    if not isinstance(scores, Tensor):
        raise ScoreError(f"{what} are {type(scores).__name__}, not a tensor")
    n_columns = scores.shape[2:3] if measures and scores.dim() == 3 else keys.shape[2:3]
    if scores.shape != (*keys.shape[:2], *n_columns):
        wanted = (*keys.shape[:2], "n") if measures else tuple(keys.shape[:3])
        raise ScoreError(f"{what} have shape {tuple(scores.shape)}, not {wanted}".replace("'", ""))
    if scores.dtype != torch.float32:
        raise ScoreError(f"{what} are {scores.dtype}, not torch.float32")
    if scores.device != keys.device:
        raise ScoreError(f"{what} are on {scores.device}, not on {keys.device}")
    if not bool(scores.isfinite().all()):
        raise ScoreError(_not_finite(what, int((~scores.isfinite()).sum()), layer))
    return scores


def _not_finite(what: str, n_scores: int, layer: LayerAtHand) -> str:
    """Why scores are not finite: because of the scorer, or because the model itself overflows."""
    reason = f"{n_scores} {what} are NaN or infinite"
    shown = {"keys": layer.keys, "values": layer.values, "queries": layer.query}
    own = [name for name, tensor in shown.items() if not bool(tensor.isfinite().all())]
    return f"{reason}, as are the model's own {' and '.join(own)} in layer {layer.index}" if own else reason
