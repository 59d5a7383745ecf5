"""Samples and the cells that lack an answer to them, those on one context together: they share its prefill."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from ..engine.rotary import shortest_alike
from ..samples.sample_set import MOST_TOGETHER, Sample, SampleSet
from .plan import RunCell
from .unit import Question, Unit, UnitConfiguration

MOST_WITH_BLOCKS = 16
"""Samples of a unit with a cell that evicts block by block: the logits of the full cache's answer to each are held for
it."""


@dataclass(frozen=True)
class SampleCells:
    """A sample and the cells that lack an answer to it.

    Attributes:
        sample_id: None until the sample was made for the first time.
    """

    samples: SampleSet
    ordinal: int
    cells: Sequence[RunCell]
    sample_id: str | None = None

    @property
    def name(self) -> str:
        """As progress shows it."""
        return f"{self.samples.task.info.name} sample {self.ordinal + 1}/{len(self.samples)}"

    @property
    def context(self) -> int | None:
        """The number of its context; None if no other sample is known to have the same."""
        contexts = self.samples.contexts
        return None if contexts is None else contexts[self.ordinal]


Group = list[SampleCells]
"""Samples on one context, or a single one."""


def groups(places: Iterable[SampleCells]) -> list[Group]:
    """The samples, those on one context together, in the order of their first ones; at most `MOST_TOGETHER` in each."""
    by_context: dict[tuple[int, int], list[SampleCells]] = {}
    for place in places:
        number = -1 - place.ordinal if place.context is None else place.context
        by_context.setdefault((id(place.samples), number), []).append(place)
    return [
        same[first : first + MOST_TOGETHER]
        for same in by_context.values()
        for first in range(0, len(same), MOST_TOGETHER)
    ]


@dataclass(frozen=True)
class Work:
    """Samples that are being answered as one unit.

    Attributes:
        samples: The set that they belong to.
        made: By id, in order.
        ordinals: By id.
    """

    samples: SampleSet
    made: dict[str, Sample]
    ordinals: dict[str, int]

    @property
    def name(self) -> str:
        """As progress shows it."""
        first = next(iter(self.ordinals))
        n_more = len(self.ordinals) - 1
        return self.name_of(first) + (f" and {n_more} more on its context" if n_more else "")

    def name_of(self, sample_id: str) -> str:
        """One of the samples, as failures show it."""
        return f"{self.samples.task.info.name} sample {self.ordinals[sample_id] + 1}/{len(self.samples)}"

    @property
    def key(self) -> tuple[str, int]:
        """Under which the meter knows it: with the seed, since the same samples may be answered under another one at
        the same time."""
        return next(iter(self.made)), self.samples.task.seed


@dataclass(frozen=True)
class Part:
    """A sample with the cells to decode."""

    place: SampleCells
    sample: Sample
    cells: Sequence[RunCell]


def joined(parts: Iterable[Part]) -> list[tuple[Work, Unit]]:
    """A unit for the parts that can share a context, and for each other one: they have the same tokens of context and
    the same cells, and their lengths rotate the context alike."""
    alike: dict[Hashable, list[Part]] = {}
    for part in parts:
        sample, samples = part.sample, part.place.samples
        rotated = shortest_alike(samples.loaded.model, sample.n_sequence)
        key = (sample.context, tuple(cell.id for cell in part.cells), rotated)
        alike.setdefault(key, []).append(part)
    return [
        _joined(some[first : first + n])
        for some in alike.values()
        for n in (_most_together(some[0]),)
        for first in range(0, len(some), n)
    ]


def _most_together(part: Part) -> int:
    in_blocks = any(cell.method.method.schedule.block is not None for cell in part.cells)
    return MOST_WITH_BLOCKS if in_blocks else MOST_TOGETHER


def _joined(parts: Sequence[Part]) -> tuple[Work, Unit]:
    first = parts[0]
    unit = Unit(
        sample_id=first.sample.id,
        context=first.sample.context,
        question=first.sample.question,
        n_sequence=first.sample.n_sequence,
        stop=first.sample.stop,
        seed=first.place.samples.task.seed,
        configurations=tuple(
            UnitConfiguration(cell.id, cell.method.method, cell.method.profile_hashes) for cell in first.cells
        ),
        reference=first.sample.reference,
        evidence=first.sample.evidence,
        more=tuple(
            Question(one.id, one.question, one.n_sequence, one.stop, one.reference, one.evidence)
            for one in (part.sample for part in parts[1:])
        ),
    )
    made = {part.sample.id: replace(part.sample, context=first.sample.context) for part in parts}
    return Work(first.place.samples, made, {part.sample.id: part.place.ordinal for part in parts}), unit
