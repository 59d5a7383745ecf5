"""Drives a run: makes each sample that is missing, has it answered by an executor, scores its answers and stores them.

Runs that share a database share the work: a sample is claimed for its cells before it is answered. Claims of other runs
are skipped and waited for at the end.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import sleep

from ...db.records import AnswerRecord
from ...db.store import Store
from ..errors import reason_of, without_frames
from ..samples.sample_set import Sample, SampleSet
from .batching import Batching
from .executors.base import Executor
from .meter import Meter
from .outcome import Outcome
from .plan import Plan, RunCell
from .rows import sample_row, stand_in_row
from .scores import record_of, score_text
from .shard import WHOLE, Shard
from .unit import Unit, UnitConfiguration

POLL_S = 1.0
"""Seconds between two checks for the answers of other runs."""


def requested(plan: Plan, shard: Shard) -> dict[str, set[int]]:
    """Per cell the ordinals of the samples in a shard."""
    parts = {
        id(samples): shard.ordinals(samples.task.info.name, samples.task.length, samples.task.seed, len(samples))
        for samples in plan.sample_sets
    }
    return {cell.id: parts[id(cell.samples)] for cell in plan.cells}


def missing(plan: Plan, store: Store, shard: Shard, *, redo: bool = False) -> dict[str, set[int]]:
    """Per cell the ordinals of the samples in a shard without a done answer; with `redo` of all in it."""
    done = {} if redo else store.done_ordinals([cell.id for cell in plan.cells])
    return {cell_id: ordinals - done.get(cell_id, frozenset()) for cell_id, ordinals in requested(plan, shard).items()}


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


@dataclass(frozen=True)
class Work:
    """A sample that is being answered.

    Attributes:
        name: As progress shows it.
        seed: Tells it from the same sample under another seed, which may be answered at the same time.
    """

    name: str
    sample: Sample
    seed: int

    @property
    def key(self) -> tuple[str, int]:
        """Under which the meter knows it."""
        return self.sample.id, self.seed


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
    """

    plan: Plan
    store: Store
    run_id: str
    executor: Executor
    todo: Mapping[str, set[int]]
    execution: Execution
    meter: Meter
    outcome: Outcome

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
            held = self._answer(held)
        self._check_failures()

    def _check_failures(self) -> None:
        """Called before each step, when the answers of the step before are stored."""
        if self.execution.fail_fast and self.outcome.failures:
            raise FirstFailure

    def _places(self) -> Iterator[SampleCells]:
        """Every sample that lacks an answer: one of each task, which tells what the others will take, then task by
        task."""
        rest = [places for samples in self.plan.sample_sets if (places := self._of_task(samples))]
        for places in rest:
            yield places.pop(0)
        for places in rest:
            yield from places

    def _of_task(self, samples: SampleSet) -> list[SampleCells]:
        """Every sample of a set that lacks an answer."""
        cells = [cell for cell in self.plan.cells_of(samples) if self._is_ready(cell)]
        lacking: dict[int, list[RunCell]] = {}
        for cell in cells:
            for ordinal in self.todo[cell.id]:
                lacking.setdefault(ordinal, []).append(cell)
        return [SampleCells(samples, ordinal, lacking[ordinal]) for ordinal in sorted(lacking)]

    def _is_ready(self, cell: RunCell) -> bool:
        """Whether a cell can be answered. One whose profile could not be made is recorded as failed."""
        failure = cell.method.failure
        if failure is None:
            return True
        self.outcome.add_failed_cell(cell.id, reason_of(failure))
        self.store.fail_cell(cell.id, reason_of(failure))
        self.meter.drop(cell.samples, len(self.todo[cell.id]))
        return False

    def _answer(self, places: Iterable[SampleCells]) -> list[SampleCells]:
        """Answer samples for the cells that this run can claim; returns what other runs hold."""
        held: list[SampleCells] = []
        units = self._units(places, held)
        for work, answer in self.executor.answers(units, self._begin):
            self.outcome.add_trace(answer)
            self.outcome.add_steps(answer)
            self._put(work.name, record_of(answer, work.sample, self.run_id, layers=self.execution.evidence_layers))
            self.meter.answered(work.key, answer, work.name)
        return held

    def _begin(self, work: Work, step: str) -> None:
        self._check_failures()
        self.meter.begin(work.key, f"{work.name}: {step}")

    def _units(self, places: Iterable[SampleCells], held: list[SampleCells]) -> Iterator[tuple[Work, Unit]]:
        """The unit of each sample that has cells to decode, claimed when it is taken; what other runs hold is added to
        `held`."""
        for place in places:
            self._check_failures()
            sample = self._first_made(place) if place.sample_id is None else None
            sample_id = place.sample_id if sample is None else sample.id
            if sample_id is not None:
                yield from self._claimed(replace(place, sample_id=sample_id), sample_id, sample, held)

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
        self.meter.drop(place.samples, len(cells), n_samples=1)

    def _claimed(
        self, place: SampleCells, sample_id: str, sample: Sample | None, held: list[SampleCells]
    ) -> Iterator[tuple[Work, Unit]]:
        """The unit of the cells that this run gets and has to decode, if any; the sample is made again unless
        passed."""
        claims = self.store.claim(self.run_id, sample_id, [cell.id for cell in place.cells], redo=self.execution.redo)
        for cell_id, error in claims.failed.items():
            self.outcome.add_failed_answer(cell_id, place.name, error)
        is_whole = len(claims.done) + len(claims.failed) == len(place.cells)
        self.meter.drop(place.samples, len(claims.done) + len(claims.failed), n_samples=is_whole)
        if waiting := [cell for cell in place.cells if cell.id in claims.held]:
            held.append(replace(place, cells=waiting))
        granted = [cell for cell in place.cells if cell.id in claims.granted]
        if not granted:
            return
        try:
            sample = sample or place.samples.sample(place.ordinal)
        except Exception as error:  # as in `_first_made`
            self._fail(place, sample_id, granted, without_frames(error))
            return
        for cell in granted:
            if cell.id in claims.texts:
                self._score_again(place, sample, cell, claims.texts[cell.id])
        if cells := [cell for cell in granted if cell.id not in claims.texts]:
            work = Work(place.name, sample, place.samples.task.seed)
            self.meter.take(place.samples, work.key, len(cells))
            yield work, _unit(sample, work.seed, cells)

    def _score_again(self, place: SampleCells, sample: Sample, cell: RunCell, text: str) -> None:
        """Score a stored text whose metric failed before."""
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


def _unit(sample: Sample, seed: int, cells: Sequence[RunCell]) -> Unit:
    """The unit of a sample and the cells to answer it for."""
    return Unit(
        sample_id=sample.id,
        context=sample.context,
        question=sample.question,
        n_sequence=sample.n_sequence,
        stop=sample.stop,
        seed=seed,
        configurations=tuple(
            UnitConfiguration(cell.id, cell.method.method, cell.method.profile_hashes) for cell in cells
        ),
        reference=sample.reference,
        evidence=sample.evidence,
    )
