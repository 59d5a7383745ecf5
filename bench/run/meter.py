"""Counts the answers of a run, and estimates when the rest is there."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..models.load import LoadedModel
from ..samples.sample_set import SampleSet
from .plan import Plan
from .remaining import Load, Observed, Pace, Work
from .unit import UnitAnswer

RunReport = Callable[[str, int, int, float | None], None]
"""Called with (what is being done, answers done, answers in all, seconds that the rest takes or None)."""


UnitKey = tuple[str, int]
"""A sample's id and the seed of its unit, since a sample may be the same under two seeds."""


def load_of(samples: SampleSet) -> Load:
    """What a sample of the set asks of the model, by its first one."""
    first = samples.first
    place = (samples.task.info.name, samples.task.length)
    return Load(place, len(first.context), len(first.question), first.stop.max_new_tokens)


@dataclass
class _Left:
    """What is left of a sample set: samples to be prefilled, and cells to answer over all of them."""

    load: Load
    n_samples: int
    n_cells: int


@dataclass
class _Open:
    """A unit that is being answered.

    Attributes:
        began: When its first step began, or, until then, when it was handed out.
        since: When its latest answer came, or its first step began.
    """

    left: _Left
    n_cells: int
    began: float
    since: float
    is_begun: bool = False
    prefill_s: float = 0.0
    n_generated: int = 0
    n_answered: int = 0


@dataclass
class Meter:
    """What is done of a run, shown with what is left.

    Attributes:
        total: Answers to give.
        report: Shows them.
        pace: Learns from the samples that are answered.
        left: By the identity of a sample set.
        clock: Gives seconds.
        done: Answers given, or needed no more.
    """

    total: int
    report: RunReport
    pace: Pace
    left: dict[int, _Left]
    clock: Callable[[], float] = time.perf_counter
    done: int = 0
    _open: dict[UnitKey, _Open] = field(default_factory=dict)
    _first_s: float | None = None
    _last_s: float = 0.0
    _busy_s: float = 0.0

    @classmethod
    def of(cls, plan: Plan, todo: Mapping[str, set[int]], report: RunReport) -> "Meter":
        """The meter of what is missing of a plan."""
        left = {}
        for samples in plan.sample_sets:
            lacking = [todo[cell.id] for cell in plan.cells_of(samples)]
            left[id(samples)] = _Left(
                load_of(samples), samples.n_prefills(set().union(*lacking)), sum(map(len, lacking))
            )
        return cls(sum(map(len, todo.values())), report, Pace(attention_tokens(plan.loaded)), left)

    def show(self, doing: str) -> None:
        """Show what is being done; nothing is counted, so that any thread may call this."""
        self.report(doing, self.done, self.total, self.remaining_s())

    def take(self, samples: SampleSet, key: UnitKey, n_cells: int) -> None:
        """A unit is handed out."""
        now = self.clock()
        self._open[key] = _Open(self.left[id(samples)], n_cells, now, now)
        self._first_s = now if self._first_s is None else self._first_s

    def begin(self, key: UnitKey, doing: str) -> None:
        """A step of a unit begins; before the first one it may have waited for a worker."""
        one = self._open[key]
        if not one.is_begun:
            one.is_begun, one.began, one.since = True, self.clock(), self.clock()
        self.show(doing)

    def drop(self, samples: SampleSet, n_cells: int, n_samples: int = 0) -> None:
        """Answers took no work: another run gave them, they failed without any, or a stored text was scored.

        Args:
            samples: Theirs.
            n_cells: How many.
            n_samples: Samples of which nothing else is left.
        """
        left = self.left[id(samples)]
        left.n_cells -= n_cells
        left.n_samples -= n_samples
        self.done += n_cells

    def answered(self, key: UnitKey, answer: UnitAnswer, doing: str) -> None:
        """An answer came; with the last one of its unit it is known what the unit took."""
        self._count(key, answer)
        self.done += 1
        self.show(doing)

    def _count(self, key: UnitKey, answer: UnitAnswer) -> None:
        one, now = self._open[key], self.clock()
        one.left.n_samples -= not one.n_answered
        one.left.n_cells -= 1
        one.n_answered += 1
        one.since = now
        one.n_generated += answer.n_generated_tokens or 0
        one.prefill_s = max(one.prefill_s, answer.seconds.prefill_s or 0.0)
        if one.n_answered == one.n_cells:
            del self._open[key]
            self._last_s, seconds = now, now - one.began
            self._busy_s += seconds
            cells_s = max(seconds - one.prefill_s, 0.0)
            if one.prefill_s:  # where every answer failed, nothing is learned
                self.pace.observed.append(Observed(one.left.load, one.n_cells, one.prefill_s, cells_s, one.n_generated))

    def remaining_s(self) -> float | None:
        """Seconds until the last answer; None before the first sample is answered.

        Where several units are answered side by side, work takes as much less time as it did so far.
        """
        alone_s = self.pace.seconds(Work(left.load, left.n_samples, left.n_cells) for left in self.left.values())
        if alone_s is None or self._first_s is None:
            return None
        at_once = self._busy_s / max(self._last_s - self._first_s, 1e-9)
        spent_s = sum(self.clock() - one.since for one in list(self._open.values()))
        return max(alone_s - spent_s, 0.0) / at_once


def attention_tokens(loaded: LoadedModel) -> float:
    """The context length at which a layer's attention costs as much as its products with weights.

    Of each token and layer, a weight costs one multiplication, and attention over T tokens costs 2 x HQ x D x T.
    """
    shape = loaded.shape
    n_weights: int = sum(weight.numel() for weight in loaded.model.parameters() if weight.dim() > 1)
    n_weights -= loaded.model.get_input_embeddings().weight.numel()
    return max(n_weights, 1) / (2 * shape.n_layers * shape.n_query_heads * shape.head_dim)
