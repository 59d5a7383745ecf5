"""The likelihood of a whole text, for perplexity tasks, under eviction."""

from collections.abc import Sequence
from typing import NamedTuple

from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from ..engine.likelihood import likelihood
from ..methods.events import Event
from .evictor import Evictor


class Window(NamedTuple):
    """A part of a text that fits the model.

    Attributes:
        ids: Its tokens.
        n_front: First tokens that are not scored here: the prefix, or those that an earlier window scored.
    """

    ids: tuple[int, ...]
    n_front: int

    @property
    def half(self) -> int:
        """Tokens that are read before the eviction."""
        return (len(self.ids) - 1) // 2


def windows(ids: Sequence[int], prefix: int, most: int) -> list[Window]:
    """lm-eval's own windows: each token is scored once, in windows of at most `most` fed tokens."""
    pairs = map(make_disjoint_window, get_rolling_token_windows(list(ids), prefix, most, 1))
    return [Window((*front, *back), len(front)) for front, back in pairs]


class WindowScore(NamedTuple):
    """The score of a window.

    Attributes:
        logprob: Sum of the natural log-probabilities of its scored tokens.
        events: Of the window's eviction.
    """

    logprob: float
    events: Sequence[Event]


def score_window(evictor: Evictor, window: Window) -> WindowScore:
    """Score a window's new tokens.

    The first half is scored under full attention, since nothing is evicted before it is read. Then it is evicted, and
    the second half is scored over the evicted cache.
    """
    ids, half, n_sequence = window.ids, window.half, len(window.ids) - 1
    read, rest = ids[:half], ids[half:-1]
    total = 0.0
    if first := ids[max(window.n_front, 1) : half + 1]:
        total = likelihood(evictor.loaded, evictor.read((), n_sequence).cache(), read, first).logprob
    second = ids[max(window.n_front, half + 1) :]
    reading = evictor.read(read, n_sequence)
    total += likelihood(evictor.loaded, reading.cache(), rest, second).logprob
    return WindowScore(total, reading.events)
