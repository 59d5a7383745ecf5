"""How long the rest of a run takes, learned from the samples that are answered.

A sample costs one prefill, whose seconds grow with its tokens, and what each of its cells takes to evict and to answer.
Both are learned by task and length; what has not been seen yet is scaled from what has, by tokens. A mean over all
answers would be wrong where lengths differ, and the first sample holds back what a process does once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Place = tuple[str, int | None]
"""A task and its length."""


@dataclass(frozen=True)
class Load:
    """What the samples of a task at a length ask of a model.

    Attributes:
        n_context: Tokens that are prefilled.
        n_question: Tokens that each cell feeds after its eviction.
        max_new_tokens: The longest answer.
    """

    place: Place
    n_context: int
    n_question: int
    max_new_tokens: int


@dataclass(frozen=True)
class Observed:
    """A sample that was answered.

    Attributes:
        prefill_s: Seconds of its prefill.
        cells_s: Seconds of all its cells together.
        n_generated: Tokens of all their answers.
    """

    load: Load
    n_cells: int
    prefill_s: float
    cells_s: float
    n_generated: int


@dataclass(frozen=True)
class Work:
    """What is left of a task at a length.

    Attributes:
        n_samples: To be prefilled.
        n_cells: To be answered, over all samples.
    """

    load: Load
    n_samples: int
    n_cells: int


@dataclass
class Pace:
    """Seconds of a run's work.

    Attributes:
        attention_tokens: The context length at which attention costs as much as all else in a layer.
        observed: Samples that were answered, in order.
    """

    attention_tokens: float
    observed: list[Observed] = field(default_factory=list)

    def seconds(self, works: Iterable[Work]) -> float | None:
        """What the work takes, done one after the other; None before any sample is answered."""
        seen = self._seen()
        if not seen:
            return None
        return sum(
            work.n_samples * self._prefill_s(work.load, seen) + work.n_cells * self._cell_s(work.load, seen)
            for work in works
        )

    def _seen(self) -> Sequence[Observed]:
        """What to learn from: not the first sample, which warms up, as soon as there is another of its place."""
        first, others = self.observed[:1], self.observed[1:]
        has_other = any(other.load.place == first[0].load.place for other in others)
        return others if has_other else self.observed

    def _prefill_s(self, load: Load, seen: Sequence[Observed]) -> float:
        same = [one for one in seen if one.load.place == load.place] or seen
        return sum(one.prefill_s for one in same) * self._weight(load) / sum(self._weight(one.load) for one in same)

    def _weight(self, load: Load) -> float:
        return load.n_context * (1 + load.n_context / self.attention_tokens)

    def _cell_s(self, load: Load, seen: Sequence[Observed]) -> float:
        """Of one cell: by what the same place took, or else by the tokens that it may feed."""
        same = [one for one in seen if one.load.place == load.place]
        if same:
            return sum(one.cells_s for one in same) / sum(one.n_cells for one in same)
        per_token = sum(one.cells_s for one in seen) / max(sum(map(_n_fed, seen)), 1)
        return per_token * (load.n_question + self._n_generated(load, seen))

    def _n_generated(self, load: Load, seen: Sequence[Observed]) -> float:
        """Tokens of an answer: those of the same task at other lengths, or else of any."""
        like = [one for one in seen if one.load.place[0] == load.place[0]] or seen
        mean = sum(one.n_generated for one in like) / sum(one.n_cells for one in like)
        return min(mean, load.max_new_tokens)


def _n_fed(one: Observed) -> int:
    return one.n_cells * one.load.n_question + one.n_generated
