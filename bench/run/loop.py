"""The loop of a run: one prefill a sample, then its cells in ragged caches; every answer stored at once.

Runs that share a database share the work: a sample is claimed for its cells before it is read, what another run has
claimed is left to it, and waited for at the end.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import sleep

from ...db.store import Store
from ..errors import reason_of
from .outcome import Outcome
from .plan import Plan, PlannedCell, PlannedSample
from .scored import scored_record
from .scoring import score_text
from .unit import Unit, UnitAnswer, UnitConfiguration
from .worker import Worker

POLL_S = 1.0
"""Seconds between two looks at what other runs are at work on."""

Advance = Callable[[str, int], None]
"""Called with (what is being done, answers finished since the last call)."""

Held = tuple[PlannedSample, list[PlannedCell]]
"""A sample, and the cells that another run is answering it for."""


def missing(plan: Plan, store: Store, *, redo: bool = False) -> dict[str, set[str]]:
    """Per cell the ids of the samples it has no answer for; with `redo` of all of them."""
    return {
        cell.id: {sample.id for sample in cell.task.samples} - (set() if redo else store.done_samples(cell.id))
        for cell in plan.cells
    }


@dataclass(frozen=True)
class Loop:
    """What is missing of a plan is answered by a worker and scored.

    An answer that fails is stored with its error, and everything else goes on; the same run again retries it.

    Attributes:
        todo: Per cell the ids of the samples to answer.
        batch: Cells of a sample that decode together.
        redo: Whether answers from before the run are replaced.
        outcome: Kept up to date as the run goes.
        worker: Answers the units.
    """

    plan: Plan
    store: Store
    run_id: str
    todo: Mapping[str, set[str]]
    batch: int
    redo: bool
    advance: Advance
    outcome: Outcome
    worker: Worker

    def run(self) -> None:
        """Answer task by task, then wait for what other runs are at work on."""
        held: list[Held] = []
        for task in self.plan.tasks:
            cells = [cell for cell in self.plan.cells if cell.task is task and self._is_ready(cell)]
            for sample in task.samples:
                missing_cells = [cell for cell in cells if sample.id in self.todo[cell.id]]
                held += self._answer(sample, missing_cells)
        self._wait(held)

    def _is_ready(self, cell: PlannedCell) -> bool:
        """A cell whose profile could not be made has failed before anything is read for it."""
        failure = cell.method.failure
        if failure is None:
            return True
        self.outcome.add_failed_cell(cell.id, reason_of(failure))
        self.store.fail_cell(cell.id, reason_of(failure))
        self.advance("", len(self.todo[cell.id]))
        return False

    def _answer(self, sample: PlannedSample, cells: Sequence[PlannedCell]) -> list[Held]:
        """Answer a sample for the cells that it can be claimed for; gives those that another run holds."""
        if not cells:
            return []
        claims = self.store.claim(self.run_id, sample.id, [cell.id for cell in cells], redo=self.redo)
        for cell_id, error in claims.failed.items():
            self.outcome.add_failed_answer(cell_id, error)
        self.advance("", len(claims.done) + len(claims.failed))
        granted = [cell for cell in cells if cell.id in claims.granted]
        for cell in granted:
            if cell.id in claims.texts:
                self._score_again(sample, cell, claims.texts[cell.id])
        self._read_and_answer(sample, [cell for cell in granted if cell.id not in claims.texts])
        held = [cell for cell in cells if cell.id in claims.held]
        return [(sample, held)] if held else []

    def _score_again(self, sample: PlannedSample, cell: PlannedCell, text: str) -> None:
        """Score a text that was decoded before, and that its metric broke on."""
        score = score_text(cell.task, sample.rendered, text)
        if isinstance(score, Exception):
            self.outcome.add_failed_answer(cell.id, reason_of(score))
            self.store.put_score_error(cell.id, sample.id, self.run_id, reason_of(score))
        else:
            self.outcome.n_new += self.store.put_score(cell.id, sample.id, self.run_id, score)
        self.advance("", 1)

    def _read_and_answer(self, sample: PlannedSample, cells: Sequence[PlannedCell]) -> None:
        if not cells:
            return
        task, by_id = cells[0].task, {cell.id: cell for cell in cells}
        sample_name = f"{task.loaded.info.name} sample {sample.rendered.ordinal + 1}/{len(task.samples)}"
        unit = _unit(self.plan, sample, cells)
        for answer in self.worker.answers(unit, self.batch, lambda step: self.advance(f"{sample_name}: {step}", 0)):
            self._put(sample, by_id[answer.configuration_id], answer)
            self.advance(sample_name, 1)

    def _put(self, sample: PlannedSample, cell: PlannedCell, answer: UnitAnswer) -> None:
        self.outcome.add_trace(answer)
        record = scored_record(cell, sample, self.run_id, answer)
        stored = self.store.put_answer(record, redo=self.redo)
        if record.error is not None:
            self.outcome.add_failed_answer(cell.id, record.error)
        else:
            self.outcome.n_new += stored

    def _wait(self, held: list[Held]) -> None:
        """Until other runs have given their answers; what they fail to give, being killed, is answered here."""
        while held := [rest for sample, cells in held for rest in self._answer(sample, cells)]:
            self.advance(f"waiting for another run: {sum(len(cells) for _, cells in held)} answers", 0)
            sleep(POLL_S)


def _unit(plan: Plan, sample: PlannedSample, cells: Sequence[PlannedCell]) -> Unit:
    """The sample for the cells that it is missing from, which are of one task."""
    prompt, task = sample.prompt, cells[0].task
    return Unit(
        sample_id=sample.id,
        context=prompt.context,
        question=prompt.question,
        n_sequence=sample.n_sequence,
        stop=task.stop(sample, plan.loaded),
        seed=task.seed,
        configurations=tuple(
            UnitConfiguration(cell.id, cell.method.method, cell.method.profile_hashes) for cell in cells
        ),
    )
