"""The loop of a run: one prefill a sample, then each cell alone in a ragged cache; every answer stored at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...db.records import AnswerRecord, TimingRecord
from ...db.store import Store
from ...kernels.select import Kept
from ..engine.clock import now
from ..engine.decode import Stop, decode
from ..engine.evict import choose, evict, keep_everything, kept_bytes
from ..engine.prefill import Context, prefill
from ..lmeval import replay, score_answer
from ..models.load import LoadedModel
from .allocation import allocate
from .events import Event
from .plan import Plan, PlannedCell, PlannedSample, PlannedTask

Advance = Callable[[str, int], None]
"""Called with (what is being done, answers finished since the last call)."""


@dataclass
class Outcome:
    """How a run went.

    Attributes:
        failed: Cell id -> its error.
        n_new: Answers given by this run.
    """

    failed: dict[str, str] = field(default_factory=dict)
    n_new: int = 0


def missing(plan: Plan, store: Store) -> dict[str, set[str]]:
    """Per cell the ids of the samples it has no answer for."""
    return {cell.id: {sample.id for sample in cell.task.samples} - store.done_samples(cell.id) for cell in plan.cells}


def run_plan(plan: Plan, store: Store, run_id: str, todo: Mapping[str, set[str]], advance: Advance) -> Outcome:
    """Answer what is missing, then score every cell that is complete.

    A cell that fails is recorded with its error and left out from then on; the others go on.
    """
    outcome = Outcome()
    for task in plan.tasks:
        cells = [cell for cell in plan.cells if cell.task is task]
        for sample in task.samples:
            asked = [cell for cell in cells if sample.id in todo[cell.id]]
            going = [cell for cell in asked if cell.id not in outcome.failed]
            advance("", len(asked) - len(going))
            if going:
                _answer_sample(plan.loaded, store, run_id, task, sample, going, outcome, advance)
        advance(f"{task.loaded.info.name}: scoring", 0)
        for cell in cells:
            if cell.id not in outcome.failed:
                _score_cell(plan.loaded, store, cell)
    return outcome


def _answer_sample(
    loaded: LoadedModel,
    store: Store,
    run_id: str,
    task: PlannedTask,
    sample: PlannedSample,
    cells: Sequence[PlannedCell],
    outcome: Outcome,
    advance: Advance,
) -> None:
    doing = f"{task.loaded.info.name} sample {sample.rendered.ordinal + 1}/{len(task.samples)}"
    advance(f"{doing}: prefill", 0)
    try:
        context = _prefill(loaded, sample.prompt.context, cells)
    except Exception as error:  # out of memory, a device fault: these cells fail, the run goes on
        for cell in cells:
            _fail(store, run_id, cell, sample, error, outcome)
        advance(doing, len(cells))
        return
    for cell in cells:
        advance(f"{doing}: {cell.method.label}", 0)
        try:
            record = _answer(loaded, run_id, cell, sample, context)
        except Exception as error:  # a plugin may raise anything; only its own cell fails
            _fail(store, run_id, cell, sample, error, outcome)
        else:
            outcome.n_new += store.put_answer(record)
        advance(doing, 1)


def _prefill(loaded: LoadedModel, ids: Sequence[int], cells: Sequence[PlannedCell]) -> Context:
    """The context with the score tables that the cells need, each made once."""
    methods = {cell.method.method.table: cell.method.method for cell in cells}
    scorers = {name: method.scorer.instance for name, method in methods.items() if method.scorer is not None}
    kept = {name: method.budget.per_head(len(ids)) for name, method in methods.items()}
    return prefill(loaded, ids, scorers, n_kept=kept, seed=cells[0].method.configuration.seed)


def _fail(
    store: Store, run_id: str, cell: PlannedCell, sample: PlannedSample, error: Exception, outcome: Outcome
) -> None:
    reason = f"{type(error).__name__}: {error}"
    outcome.failed[cell.id] = reason
    store.put_answer(AnswerRecord.failure(cell.id, sample.id, run_id, reason))


def _answer(
    loaded: LoadedModel, run_id: str, cell: PlannedCell, sample: PlannedSample, context: Context
) -> AnswerRecord:
    """Evict and decode one sample in one cell."""
    if cell.method.failure is not None:
        raise cell.method.failure
    generation = sample.rendered.generation
    until = generation.get("until", [])
    strings = (until,) if isinstance(until, str) else tuple(until)
    stop = Stop(int(generation["max_gen_toks"]), loaded.eos, strings)
    room = len(sample.prompt.question) + stop.max_new_tokens
    started = now(loaded.device)
    kept, score_s, events = _choose(loaded, cell, context)
    cache = evict(context, kept, room)
    evict_s = score_s + now(loaded.device) - started
    bytes_kept = kept_bytes(cache)
    decoding = decode(loaded, cache, [sample.prompt.question], stop)
    (row,) = decoding.rows
    n_heads = loaded.shape.n_layers * loaded.shape.n_kv_heads
    return AnswerRecord(
        cell_id=cell.id,
        sample_id=sample.id,
        run_id=run_id,
        text=row.text,
        score=score_answer(cell.task.loaded, sample.rendered, row.text),
        n_context_tokens=context.n_tokens,
        n_question_tokens=len(sample.prompt.question),
        n_generated_tokens=len(row.ids),
        stop_reason=row.stop_reason,
        kv_tokens_full=n_heads * context.n_tokens,
        kv_tokens_kept=sum(len(layer.positions) for layer in kept),
        kv_bytes_full=context.kv_bytes,
        kv_bytes_kept=bytes_kept,
        events=events,
        timing=TimingRecord(
            prefill_s=context.prefill_s,
            evict_s=evict_s,
            ttft_s=context.prefill_s + evict_s + decoding.first_token_s,
            tpot_s=decoding.tpot_s,
        ),
        keep_counts=[layer.offsets.diff().tolist() for layer in kept],
    )


def _choose(loaded: LoadedModel, cell: PlannedCell, context: Context) -> tuple[list[Kept], float, Sequence[Event]]:
    """What each layer keeps, the seconds that its scores took, and what a reader of the answer must know."""
    method = cell.method.method
    if method.scorer is None:
        return keep_everything(context), 0.0, ()
    scores, seed = context.table(method.table), cell.method.configuration.seed
    made = allocate(method, loaded.shape, context.n_tokens, scores, cell.method.profile, seed)
    kept = choose(made.counts, scores, method.protection.mask(context.n_tokens))
    return kept, context.score_s[method.table], made.events


def _score_cell(loaded: LoadedModel, store: Store, cell: PlannedCell) -> None:
    """Let lm-eval aggregate a cell whose answers are all there."""
    prompts = {sample.id: sample.rendered.prompt for sample in cell.task.samples}
    answers = [answer for answer in store.answers(cell.id) if answer.sample_id in prompts]
    if len(answers) == len(prompts):
        found = replay(cell.task.loaded, loaded.tokenizer, [(prompts[a.sample_id], a.text) for a in answers])
        store.set_score(cell.id, found.score, found.stderr, samples=len(answers))
