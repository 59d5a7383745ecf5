"""Drives a run: makes each sample that is missing, has it answered by an executor, scores its answers and stores them.

Runs that share a database share the work: a sample is claimed for its cells before it is answered. Claims of other runs
are skipped and waited for at the end.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import sleep

from ...db.claims import Claims
from ...db.records import AnswerRecord
from ...db.store import Store
from ..errors import reason_of, without_frames
from ..samples.sample_set import Sample, SampleSet
from .batching import Batching
from .executors.base import Executor
from .grouping import Group, Part, SampleCells, Work, groups, joined
from .meter import Meter
from .outcome import Outcome
from .plan import Plan, RunCell
from .references import FullReferences
from .rows import sample_row, stand_in_row
from .scores import record_of, score_text
from .shard import WHOLE, Shard
from .unit import Unit

POLL_S = 1.0
"""Seconds between two checks for the answers of other runs."""


def requested(plan: Plan, shard: Shard) -> dict[str, set[int]]:
    """Per cell the ordinals of the samples in a shard."""
    parts = {
        id(samples): shard.ordinals(task.info.name, task.length, task.seed, len(samples), samples.contexts)
        for samples in plan.sample_sets
        for task in (samples.task,)
    }
    return {cell.id: parts[id(cell.samples)] for cell in plan.cells}


def missing(plan: Plan, store: Store, shard: Shard, *, redo: bool = False) -> dict[str, set[int]]:
    """Per cell the ordinals of the samples in a shard without a done answer; with `redo` of all in it."""
    done = {} if redo else store.done_ordinals([cell.id for cell in plan.cells])
    return {cell_id: ordinals - done.get(cell_id, frozenset()) for cell_id, ordinals in requested(plan, shard).items()}


@dataclass(frozen=True)
class Execution:
    """How a plan is carried out.

    Attributes:
        batching: How the cells of a sample decode.
        redo: Whether answers from before the run are replaced.
        keep_prompts: Whether the prompts of the samples that are answered are stored.
        evidence_layers: Whether what is kept of the evidence is stored layer by layer too.
        fail_fast: Whether the first failed answer ends the run, before the next step begins.
        shard: The part of the samples to answer.
    """

    batching: Batching = field(default_factory=Batching)
    redo: bool = False
    keep_prompts: bool = False
    evidence_layers: bool = False
    fail_fast: bool = False
    shard: Shard = WHOLE


class FirstFailure(Exception):
    """An answer failed in a run that is to end then. What was answered up to then is stored."""


@dataclass(frozen=True)
class Driver:
    """Answers what is missing of a plan.

    An answer that fails is stored with its error and does not stop the run, unless that is asked for. Running again
    retries it.

    Attributes:
        todo: Per cell the ordinals of the samples to answer.
        outcome: Updated during the run.
        references: Of tasks that have none of their own.
    """

    plan: Plan
    store: Store
    run_id: str
    executor: Executor
    todo: Mapping[str, set[int]]
    execution: Execution
    meter: Meter
    outcome: Outcome
    references: FullReferences

    def run(self) -> None:
        """Answer task by task, then wait for the answers of other runs. What a killed run had claimed is answered
        here.

        Raises:
            FirstFailure: an answer failed, and the first one is to end the run.
        """
        held = self._answer(self._places())
        while held:
            self._check_failures()
            self.meter.show(f"waiting for another run: {sum(len(place.cells) for place in held)} answers")
            sleep(POLL_S)
            held = self._answer(groups(held))
        self._check_failures()

    def _check_failures(self) -> None:
        """Called before each step, when the answers of the step before are stored."""
        if self.execution.fail_fast and self.outcome.failures:
            raise FirstFailure

    def _places(self) -> Iterator[Group]:
        """Every sample that lacks an answer: one context of each task, which tells what the others will take, then task
        by task."""
        rest = [places for samples in self.plan.sample_sets if (places := self._of_task(samples))]
        for places in rest:
            yield places.pop(0)
        for places in rest:
            yield from places

    def _of_task(self, samples: SampleSet) -> list[Group]:
        """Every sample of a set that lacks an answer, context by context."""
        cells = [cell for cell in self.plan.cells_of(samples) if self._is_ready(cell)]
        lacking: dict[int, list[RunCell]] = {}
        for cell in cells:
            for ordinal in self.todo[cell.id]:
                lacking.setdefault(ordinal, []).append(cell)
        return groups(SampleCells(samples, ordinal, lacking[ordinal]) for ordinal in sorted(lacking))

    def _is_ready(self, cell: RunCell) -> bool:
        """Whether a cell can be answered. One whose profile could not be made is recorded as failed."""
        failure = cell.method.failure
        if failure is None:
            return True
        self.outcome.add_failed_cell(cell.id, reason_of(failure))
        self.store.fail_cell(cell.id, reason_of(failure))
        self.meter.drop(cell.samples, len(self.todo[cell.id]))
        return False

    def _answer(self, places: Iterable[Group]) -> list[SampleCells]:
        """Answer samples for the cells that this run can claim; returns what other runs hold."""
        held: list[SampleCells] = []
        units = self._units(places, held)
        for work, answer in self.executor.answers(units, self._begin):
            self.outcome.add_trace(answer)
            self.outcome.add_steps(answer)
            sample = work.made[answer.sample_id]
            sample = self.references.completed(work.samples, sample, answer.configuration_id, answer.text)
            record = record_of(answer, sample, self.run_id, layers=self.execution.evidence_layers)
            self._put(work.name_of(sample.id), record)
            self.meter.answered(work.key, answer, work.name)
        return held

    def _begin(self, work: Work, step: str) -> None:
        self._check_failures()
        self.meter.begin(work.key, f"{work.name}: {step}")

    def _units(self, places: Iterable[Group], held: list[SampleCells]) -> Iterator[tuple[Work, Unit]]:
        """The units of the samples that have cells to decode, claimed when they are taken; what other runs hold is
        added to `held`."""
        for group in places:
            self._check_failures()
            n_held = len(held)
            parts = [part for place in group if (part := self._part(place, held)) is not None]
            if not parts and len(held) == n_held and group[0].context is not None:
                self.meter.drop(group[0].samples, 0, n_samples=1)
            for work, unit in joined(parts):
                self.meter.take(work.samples, work.key, len(unit.configurations) * len(work.made))
                yield work, unit

    def _part(self, place: SampleCells, held: list[SampleCells]) -> Part | None:
        """A sample with the cells to decode, if any."""
        sample = self._first_made(place) if place.sample_id is None else None
        sample_id = place.sample_id if sample is None else sample.id
        return (
            None if sample_id is None else self._claimed(replace(place, sample_id=sample_id), sample_id, sample, held)
        )

    def _first_made(self, place: SampleCells) -> Sample | None:
        """The sample, made and stored; None if that failed and was recorded."""
        if place.ordinal > 0:  # the first was made with the plan
            self.meter.show(f"{place.name}: making")
        try:
            sample = place.samples.sample(place.ordinal)
        except Exception as error:  # bad data, a failing template, no memory: the other samples continue
            row = stand_in_row(place.samples, place.ordinal)
            self.store.put(row)
            self._fail(place, row.id, place.cells, without_frames(error))
            return None
        self.store.put(sample_row(place.samples, sample, keep_prompt=self.execution.keep_prompts))
        return sample

    def _fail(self, place: SampleCells, sample_id: str, cells: Sequence[RunCell], error: Exception) -> None:
        """Store a failed answer of each cell to a sample that could not be made."""
        for cell in cells:
            self._put(place.name, AnswerRecord.failure(cell.id, sample_id, self.run_id, reason_of(error)))
        self.meter.drop(place.samples, len(cells), n_samples=place.context is None)

    def _claimed(
        self, place: SampleCells, sample_id: str, sample: Sample | None, held: list[SampleCells]
    ) -> Part | None:
        """The cells that this run gets and has to decode, if any; the sample is made again unless passed."""
        claims = self._claims(place, sample_id)
        for cell_id, error in claims.failed.items():
            self.outcome.add_failed_answer(cell_id, place.name, error)
        is_whole = len(claims.done) + len(claims.failed) == len(place.cells)
        n_samples = is_whole and place.context is None
        self.meter.drop(place.samples, len(claims.done) + len(claims.failed), n_samples=n_samples)
        if waiting := [cell for cell in place.cells if cell.id in claims.held]:
            held.append(replace(place, cells=waiting))
        granted = [cell for cell in place.cells if cell.id in claims.granted]
        if not granted:
            return None
        try:
            sample = sample or place.samples.sample(place.ordinal)
        except Exception as error:  # as in `_first_made`
            self._fail(place, sample_id, granted, without_frames(error))
            return None
        texts = {} if self.references.waits(place.samples, sample_id, claims.granted) else claims.texts
        for cell in granted:
            if cell.id in texts:
                self._score_again(place, sample, cell, texts[cell.id])
        cells = [cell for cell in granted if cell.id not in texts]
        return Part(place, sample, cells) if cells else None

    def _claims(self, place: SampleCells, sample_id: str) -> Claims:
        """What this run gets of a sample. Where another run holds the full cache's answer, which is the reference of
        all, that run gets the others, too."""
        cells, full = [cell.id for cell in place.cells], self.references.cell_of(place.samples)
        if full in cells:
            claims = self.store.claim(self.run_id, sample_id, [full], redo=self.execution.redo)
            if claims.held:
                return replace(claims, held=set(cells))
        return self.store.claim(self.run_id, sample_id, cells, redo=self.execution.redo)

    def _score_again(self, place: SampleCells, sample: Sample, cell: RunCell, text: str) -> None:
        """Score a stored text whose metric failed before."""
        sample = self.references.completed(place.samples, sample, cell.id, text)
        score = score_text(sample, text)
        if isinstance(score, Exception):
            self.outcome.add_failed_answer(cell.id, place.name, reason_of(score))
            self.store.put_score_error(cell.id, sample.id, self.run_id, reason_of(score))
        else:
            self.outcome.n_new += self.store.put_score(cell.id, sample.id, self.run_id, score)
        self.meter.drop(place.samples, 1)

    def _put(self, sample: str, answer: AnswerRecord) -> None:
        """Store an answer to a sample, which is named in words."""
        stored = self.store.put_answer(answer, redo=self.execution.redo)
        if answer.error is not None:
            self.outcome.add_failed_answer(answer.cell_id, sample, answer.error)
        else:
            self.outcome.n_new += stored
