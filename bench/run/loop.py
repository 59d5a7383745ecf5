"""The loop of a run: one prefill a sample, then its cells in ragged caches; every answer stored at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...db.records import AnswerRecord
from ...db.store import Store
from ..errors import reason_of
from ..lmeval import replay
from ..models.load import LoadedModel
from ..models.weights import ModelChanged
from .answer import answer_cells
from .choosing import Barred, read_context
from .plan import Plan, PlannedCell, PlannedSample, PlannedTask

Advance = Callable[[str, int], None]
"""Called with (what is being done, answers finished since the last call)."""


@dataclass
class Outcome:
    """How a run went.

    Attributes:
        failed: Cell id -> its error.
        n_new: Answers given by this run.
        barred: What is not called again in this run.
    """

    failed: dict[str, str] = field(default_factory=dict)
    n_new: int = 0
    barred: Barred = field(default_factory=dict)


def missing(plan: Plan, store: Store) -> dict[str, set[str]]:
    """Per cell the ids of the samples it has no answer for."""
    return {cell.id: {sample.id for sample in cell.task.samples} - store.done_samples(cell.id) for cell in plan.cells}


def run_plan(
    plan: Plan, store: Store, run_id: str, todo: Mapping[str, set[str]], batch: int, advance: Advance
) -> Outcome:
    """Answer what is missing, `batch` cells of a sample at a time, then score every cell that is complete.

    A cell that fails is recorded with its error and left out from then on; the others go on.
    """
    outcome = Outcome()
    for task in plan.tasks:
        cells = [cell for cell in plan.cells if cell.task is task]
        for sample in task.samples:
            asked = [cell for cell in cells if sample.id in todo[cell.id]]
            _fail_unready(store, run_id, sample, asked, outcome)
            going = [cell for cell in asked if cell.id not in outcome.failed]
            advance("", len(asked) - len(going))
            if going:
                _answer_sample(plan.loaded, store, run_id, task, sample, going, batch, outcome, advance)
        advance(f"{task.loaded.info.name}: scoring", 0)
        for cell in cells:
            if cell.id not in outcome.failed:
                _score(plan.loaded, store, cell, outcome)
    return outcome


def _answer_sample(
    loaded: LoadedModel,
    store: Store,
    run_id: str,
    task: PlannedTask,
    sample: PlannedSample,
    cells: Sequence[PlannedCell],
    batch: int,
    outcome: Outcome,
    advance: Advance,
) -> None:
    doing = f"{task.loaded.info.name} sample {sample.rendered.ordinal + 1}/{len(task.samples)}"
    advance(f"{doing}: prefill", 0)
    try:
        methods = [cell.method.method for cell in cells]
        seed, n_sequence = cells[0].method.configuration.seed, sample.n_sequence
        context = read_context(loaded, sample.prompt.context, methods, seed, n_sequence, outcome.barred)
    except ModelChanged:
        raise
    except Exception as error:  # out of memory, a device fault: these cells fail, the run goes on
        for cell in cells:
            _fail(store, run_id, cell, sample, error, outcome)
        advance(doing, len(cells))
        return
    for first in range(0, len(cells), batch):
        together = cells[first : first + batch]
        rest = f" and {len(together) - 1} more" if len(together) > 1 else ""
        advance(f"{doing}: {together[0].method.label}{rest}", 0)
        for cell, result in answer_cells(loaded, run_id, together, sample, context, outcome.barred):
            if isinstance(result, AnswerRecord):
                outcome.n_new += store.put_answer(result)
            else:
                _fail(store, run_id, cell, sample, result, outcome)
        advance(doing, len(together))


def _fail_unready(
    store: Store, run_id: str, sample: PlannedSample, cells: Sequence[PlannedCell], outcome: Outcome
) -> None:
    """Cells whose profile could not be made have failed before they begin."""
    for cell in cells:
        if cell.method.failure is not None and cell.id not in outcome.failed:
            _fail(store, run_id, cell, sample, cell.method.failure, outcome)


def _fail(
    store: Store, run_id: str, cell: PlannedCell, sample: PlannedSample, error: Exception, outcome: Outcome
) -> None:
    reason = reason_of(error)
    outcome.failed[cell.id] = reason
    store.put_answer(AnswerRecord.failure(cell.id, sample.id, run_id, reason))


def _score(loaded: LoadedModel, store: Store, cell: PlannedCell, outcome: Outcome) -> None:
    """Let lm-eval aggregate a cell whose answers are all there, once; a metric that breaks fails its own cell."""
    prompts = {sample.id: sample.rendered.prompt for sample in cell.task.samples}
    if store.is_scored(cell.id):
        return
    answers = [answer for answer in store.answers(cell.id) if answer.sample_id in prompts]
    if len(answers) < len(prompts):
        return
    try:
        found = replay(cell.task.loaded, loaded.tokenizer, [(prompts[a.sample_id], a.text) for a in answers])
    except Exception as error:  # a metric's library may raise anything over a text it did not expect
        reason = reason_of(error)
        outcome.failed[cell.id] = reason
        store.set_cell_error(cell.id, reason)
        return
    store.set_score(cell.id, found.score, found.stderr, samples=len(answers))
