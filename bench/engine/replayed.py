"""Tables of scorers that read a replay of the context, made once the context is held."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from ...kernels.form import Form
from ...scorers.base import Scorer
from ..errors import without_frames
from ..models.load import LoadedModel
from .clock import now
from .context import Context
from .held_scoring import score_held
from .replay import read_replay
from .scoring import Tainted
from .views import LayerAtHand


@dataclass
class LayerForms:
    """A prefill observer that records each layer's attention module and form; layer 0 begins a new pass."""

    layers: list[tuple[Any, Form, int]] = field(default_factory=list)

    def see(self, index: int, module: Any, query: Tensor, _keys: Tensor, _values: Tensor, form: Form) -> None:
        """Record a layer."""
        if index == 0:
            self.layers.clear()
        self.layers.append((module, form, query.shape[1]))


def with_replay(
    loaded: LoadedModel,
    context: Context,
    ids: Sequence[int],
    forms: LayerForms,
    scorers: Mapping[str, Scorer],
    n_kept: Mapping[str, int],
    seed: int,
) -> Context:
    """The context with the tables of scorers that read its replay; the seconds of the replay count as each one's.

    Args:
        loaded: The model.
        context: Held in memory.
        ids: Its token ids.
        forms: Of its layers, as they were read.
        scorers: By the name of their table.
        n_kept: By table the tokens that its budget keeps in each head on average.
        seed: For scorers that draw at random.

    Raises:
        Tainted: a scorer changed something that it may only read.
    """
    scores, failures, seconds = dict(context.scores), dict(context.failures), dict(context.score_s)
    began = now(*loaded.devices)
    try:
        replay: list[Tensor] | Exception = read_replay(loaded, context, ids)
    except Exception as error:  # out of memory, attention that is not finite: their tables are missing
        replay = without_frames(error)
    replay_s = now(*loaded.devices) - began
    for name, scorer in scorers.items():
        if isinstance(replay, Exception):
            failures[name] = replay
            continue
        layers = _layers(loaded, context, forms, replay)
        try:
            scores[name], own_s = score_held(loaded, context, name, scorer, layers, n_kept.get(name), seed)
        except Tainted:
            raise
        except Exception as error:  # a plugin may raise anything; the others continue
            failures[name] = without_frames(error)
        else:
            seconds[name] = replay_s + own_s
    return replace(context, scores=scores, failures=failures, score_s=seconds)


def _layers(
    loaded: LoadedModel, context: Context, forms: LayerForms, replay: Sequence[Tensor]
) -> Iterator[LayerAtHand]:
    """Every layer as it was, but for its queries and its inputs."""
    layers = zip(context.layers(), forms.layers, replay, strict=True)
    for index, ((keys, values), (module, form, n_query_heads), of_layer) in enumerate(layers):
        no_query = keys.new_empty(keys.shape[0], n_query_heads, 0, keys.shape[3])
        yield LayerAtHand(
            loaded.model,
            index,
            module,
            no_query,
            keys,
            values,
            form,
            {},
            backend=loaded.backend,
            replay=of_layer.clone(),
        )
