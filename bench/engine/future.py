"""What comes after a context, which only oracles know: the reference answer is fed, and what it attends to recorded."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...scorers.base import Protection, Scorer
from ..errors import without_frames
from ..models.load import LoadedModel
from .context import Context, Ranking
from .evict import share
from .feed import MESSAGE, feed_pieces
from .held_scoring import score_held
from .importance import FutureImportance, SeenLayers
from .read_layers import held_layers
from .rotary import rotating_for
from .scoring import Tainted

WHOLE_QUESTION = True
"""Without the question's own rows, an answer over what is left is worse: docs/decisions/018-oracles.md."""


class NoReferenceError(Exception):
    """A sample has no reference answer, so that nothing says what will be attended to."""


@dataclass(frozen=True)
class FutureScorer:
    """A scorer that reads the future.

    Attributes:
        table: The name of its table.
        scorer: The plugin's instance.
        n_kept: Tokens that the budget keeps in each head on average.
    """

    table: str
    scorer: Scorer
    n_kept: int


@dataclass
class Future:
    """The future of a context for one question, and the tables of scorers that read it, each made when it is asked for.

    Attributes:
        loaded: The model.
        context: Held in memory.
        seen: Its layers, as they were read.
        importance: float32 [L, 1, H, T], see `LayerView.future`.
        seed: For scorers that draw at random.
    """

    loaded: LoadedModel
    context: Context
    seen: SeenLayers
    importance: Tensor
    seed: int
    _tables: dict[str, Tensor | Exception] = field(default_factory=dict, init=False, repr=False)
    _rankings: dict[tuple[str, Protection], Ranking] = field(default_factory=dict, init=False, repr=False)

    def table(self, of: FutureScorer) -> Tensor:
        """A scorer's table, float32 [L, 1, H, T]; raises what the scorer raised, each time."""
        if of.table not in self._tables:
            try:
                self._tables[of.table] = self._score(of)
            except Tainted as taint:
                self._tables[of.table] = without_frames(taint.error)
            except Exception as error:  # a plugin may raise anything
                self._tables[of.table] = without_frames(error)
        table = self._tables[of.table]
        if isinstance(table, Exception):
            raise table
        return table

    def ranking(self, of: FutureScorer, protection: Protection) -> Ranking:
        """The ranks of a table's tokens, computed once for all budgets."""
        table, place = self.table(of), (of.table, protection)
        if place not in self._rankings:
            self._rankings[place] = Ranking.of(table, protection)
        return self._rankings[place]

    def _score(self, of: FutureScorer) -> Tensor:
        """The table, layer by layer.

        Raises:
            Tainted: the scorer changed something that it may only read.
            Exception: what the scorer raised.
        """
        layers = held_layers(self.loaded, self.context, self.seen.layers, future=self.importance.unbind())
        table, _ = score_held(self.loaded, self.context, of.table, of.scorer, layers, of.n_kept, self.seed)
        return table


@torch.inference_mode(mode=False)  # inference tensors do not count writes
@torch.no_grad()
def read_future(
    loaded: LoadedModel,
    context: Context,
    seen: SeenLayers,
    question: Sequence[int],
    reference: Sequence[int],
    seed: int,
    *,
    whole_question: bool = WHOLE_QUESTION,
) -> Future:
    """Feed the question and the reference answer over the full cache, and record what their rows attend to.

    The rows are those of the question and of every token of the reference but the last, which predict the reference.

    Args:
        loaded: The model, switched to store attention.
        context: Held in memory.
        seen: Its layers, as they were read.
        question: Token ids, at least one.
        reference: Token ids.
        seed: For scorers that draw at random.
        whole_question: Whether all rows of the question count, and not its last alone.

    Raises:
        NoReferenceError: there is no reference.
        ArithmeticError: the attention is not finite.
    """
    if not reference:
        raise NoReferenceError("the sample has no reference answer, whose attention is what an oracle reads")
    n_before = 0 if whole_question else len(question) - 1
    recorder = FutureImportance(seen, loaded.shape.n_kv_heads, n_before)
    fed = [*question, *reference[:-1]]
    cache = share(context, 1, len(fed), recorder.see)
    with rotating_for(loaded.model, cache.n_sequence, context.n_tokens + len(fed)):
        feed_pieces(loaded, cache, fed)
    importance = recorder.importance
    if not bool(importance.isfinite().all()):
        raise ArithmeticError(MESSAGE)
    return Future(loaded, context, seen, importance, seed)
