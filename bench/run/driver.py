"""Drives a run: makes each sample that is missing, hands it to the worker, scores its answers and stores them.

Runs that share a database share the work: a sample is claimed for its cells before it is answered. Claims of other runs
are skipped and waited for at the end.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import sleep

from ...db.records import AnswerRecord
from ...db.store import Store
from ..errors import reason_of, without_frames
from ..samples.sample_set import Sample, SampleSet
from .outcome import Outcome
from .plan import Plan, RunCell
from .rows import sample_row, stand_in_row
from .scores import record_of, score_text
from .unit import Unit, UnitConfiguration
from .worker import Worker

POLL_S = 1.0
"""Seconds between two checks for the answers of other runs."""

Advance = Callable[[str, int], None]
"""Called with (the step that begins, answers finished since the last call)."""


def missing(plan: Plan, store: Store, *, redo: bool = False) -> dict[str, set[int]]:
    """Per cell the ordinals of the samples without a done answer; with `redo` of all."""
    done = {} if redo else store.done_ordinals([cell.id for cell in plan.cells])
    return {cell.id: set(range(len(cell.samples))) - done.get(cell.id, set()) for cell in plan.cells}


@dataclass(frozen=True)
class SampleCells:
    """A sample and the cells that lack an answer to it."""

    samples: SampleSet
    ordinal: int
    sample_id: str
    cells: Sequence[RunCell]


@dataclass(frozen=True)
class Execution:
    """How a plan is carried out.

    Attributes:
        batch: Cells of a sample that decode together.
        redo: Whether answers from before the run are replaced.
        keep_prompts: Whether the prompts of the samples that are answered are stored.
    """

    batch: int = 1
    redo: bool = False
    keep_prompts: bool = False


@dataclass(frozen=True)
class Driver:
    """Answers what is missing of a plan.

    An answer that fails is stored with its error and does not stop the run. Running again retries it.

    Attributes:
        todo: Per cell the ordinals of the samples to answer.
        outcome: Updated during the run.
    """

    plan: Plan
    store: Store
    run_id: str
    worker: Worker
    todo: Mapping[str, set[int]]
    execution: Execution
    advance: Advance
    outcome: Outcome

    def run(self) -> None:
        """Answer task by task, then wait for the answers of other runs."""
        held: list[SampleCells] = []
        for samples in self.plan.sample_sets:
            cells = [cell for cell in self.plan.cells if cell.samples is samples and self._is_ready(cell)]
            for ordinal in sorted(set().union(*(self.todo[cell.id] for cell in cells))):
                held += self._answer(samples, ordinal, [cell for cell in cells if ordinal in self.todo[cell.id]])
        self._wait(held)

    def _is_ready(self, cell: RunCell) -> bool:
        """Whether a cell can be answered. One whose profile could not be made is recorded as failed."""
        failure = cell.method.failure
        if failure is None:
            return True
        self.outcome.add_failed_cell(cell.id, reason_of(failure))
        self.store.fail_cell(cell.id, reason_of(failure))
        self.advance("", len(self.todo[cell.id]))
        return False

    def _answer(self, samples: SampleSet, ordinal: int, cells: Sequence[RunCell]) -> list[SampleCells]:
        """Make a sample and answer it for the cells that this run can claim; returns what other runs hold."""
        if ordinal > 0:  # the first was made with the plan
            self.advance(f"{_name(samples, ordinal)}: making", 0)
        try:
            sample = samples.sample(ordinal)
        except Exception as error:  # bad data, a failing template, no memory: the other samples continue
            row = stand_in_row(samples, ordinal)
            self.store.put(row)
            self._fail(row.id, cells, without_frames(error))
            return []
        self.store.put(sample_row(samples, sample, keep_prompt=self.execution.keep_prompts))
        return self._claim(SampleCells(samples, ordinal, sample.id, cells), sample)

    def _fail(self, sample_id: str, cells: Sequence[RunCell], error: Exception) -> None:
        """Store a failed answer of each cell to a sample that could not be made."""
        for cell in cells:
            self._put(AnswerRecord.failure(cell.id, sample_id, self.run_id, reason_of(error)))
        self.advance("", len(cells))

    def _claim(self, place: SampleCells, sample: Sample | None = None) -> list[SampleCells]:
        """Answer a sample, made again unless passed, for the cells that this run gets; returns what is still held."""
        claims = self.store.claim(
            self.run_id, place.sample_id, [cell.id for cell in place.cells], redo=self.execution.redo
        )
        for cell_id, error in claims.failed.items():
            self.outcome.add_failed_answer(cell_id, error)
        self.advance("", len(claims.done) + len(claims.failed))
        granted = [cell for cell in place.cells if cell.id in claims.granted]
        if granted:
            self._answer_granted(place, granted, claims.texts, sample)
        held = [cell for cell in place.cells if cell.id in claims.held]
        return [SampleCells(place.samples, place.ordinal, place.sample_id, held)] if held else []

    def _answer_granted(
        self, place: SampleCells, cells: Sequence[RunCell], texts: Mapping[str, str], sample: Sample | None
    ) -> None:
        """Score the stored texts, by cell, and decode for the other cells."""
        try:
            sample = sample or place.samples.sample(place.ordinal)
        except Exception as error:  # as in `_answer`
            self._fail(place.sample_id, cells, without_frames(error))
            return
        for cell in cells:
            if cell.id in texts:
                self._score_again(sample, cell, texts[cell.id])
        self._decode(place, sample, [cell for cell in cells if cell.id not in texts])

    def _score_again(self, sample: Sample, cell: RunCell, text: str) -> None:
        """Score a stored text whose metric failed before."""
        score = score_text(sample, text)
        if isinstance(score, Exception):
            self.outcome.add_failed_answer(cell.id, reason_of(score))
            self.store.put_score_error(cell.id, sample.id, self.run_id, reason_of(score))
        else:
            self.outcome.n_new += self.store.put_score(cell.id, sample.id, self.run_id, score)
        self.advance("", 1)

    def _decode(self, place: SampleCells, sample: Sample, cells: Sequence[RunCell]) -> None:
        if not cells:
            return
        name = _name(place.samples, place.ordinal)
        unit = _unit(sample, place.samples.task.seed, cells)
        for answer in self.worker.answers(unit, self.execution.batch, lambda step: self.advance(f"{name}: {step}", 0)):
            self.outcome.add_trace(answer)
            self._put(record_of(answer, sample, self.run_id))
            self.advance(name, 1)

    def _put(self, answer: AnswerRecord) -> None:
        stored = self.store.put_answer(answer, redo=self.execution.redo)
        if answer.error is not None:
            self.outcome.add_failed_answer(answer.cell_id, answer.error)
        else:
            self.outcome.n_new += stored

    def _wait(self, held: list[SampleCells]) -> None:
        """Wait until other runs have answered what they claimed. What a killed run had claimed is answered here."""
        while held := [rest for one in held for rest in self._claim(one)]:
            self.advance(f"waiting for another run: {sum(len(one.cells) for one in held)} answers", 0)
            sleep(POLL_S)


def _name(samples: SampleSet, ordinal: int) -> str:
    return f"{samples.task.info.name} sample {ordinal + 1}/{len(samples)}"


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
    )
