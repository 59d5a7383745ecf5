"""Tables of scorers that read a replay of the context, made once the context is held."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from ...scorers.base import Scorer
from ..errors import without_frames
from ..models.load import LoadedModel
from .clock import now
from .context import Context
from .held_scoring import score_held
from .read_layers import ReadLayer, held_layers
from .replay import read_replay
from .scoring import Tainted


def with_replay(
    loaded: LoadedModel,
    context: Context,
    ids: Sequence[int],
    read: Sequence[ReadLayer],
    scorers: Mapping[str, Scorer],
    n_kept: Mapping[str, int],
    seed: int,
) -> Context:
    """The context with the tables of scorers that read its replay; the seconds of the replay count as each one's.

    Args:
        loaded: The model.
        context: Held in memory.
        ids: Its token ids.
        read: Its layers.
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
        layers = held_layers(loaded, context, read, replay=replay)
        try:
            scores[name], own_s = score_held(loaded, context, name, scorer, layers, n_kept.get(name), seed)
        except Tainted:
            raise
        except Exception as error:  # a plugin may raise anything; the others continue
            failures[name] = without_frames(error)
        else:
            seconds[name] = replay_s + own_s
    return replace(context, scores=scores, failures=failures, score_s=seconds)
