"""Answers of one sample: evict for each cell, decode one cell alone or several as a batch of ragged caches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...db.records import AnswerRecord, TimingRecord
from ...kernels.select import Kept, stack
from ..engine.clock import now
from ..engine.decode import Decoded, Decoding, decode
from ..engine.evict import choose, evict, keep_everything, kept_bytes
from ..engine.prefill import Context
from ..lmeval import score_answer
from ..models.load import LoadedModel
from .allocation import allocate
from .plan import PlannedCell, PlannedSample


@dataclass(frozen=True)
class _Chosen:
    """What a cell keeps of the context, per layer, and the wall seconds of scoring, allocating and choosing."""

    cell: PlannedCell
    kept: Sequence[Kept]
    choose_s: float


def answer_cells(
    loaded: LoadedModel, run_id: str, cells: Sequence[PlannedCell], sample: PlannedSample, context: Context
) -> Iterator[tuple[PlannedCell, AnswerRecord | Exception]]:
    """Every cell with its answer, or with what went wrong in it: a cell's failure is its own.

    Several cells decode as one batch of ragged caches; if the batch fails, each is tried alone.
    """
    chosen = []
    for cell in cells:
        try:
            chosen.append(_choose(loaded, cell, context))
        except Exception as error:  # a plugin may raise anything; only its own cell fails
            yield cell, error
    if not chosen:
        return
    try:
        yield from zip((one.cell for one in chosen), _decode(loaded, run_id, chosen, sample, context), strict=True)
    except Exception as error:  # out of memory, logits that are not finite
        if len(chosen) == 1:
            yield chosen[0].cell, error
            return
        for one in chosen:
            yield from answer_cells(loaded, run_id, [one.cell], sample, context)


def _choose(loaded: LoadedModel, cell: PlannedCell, context: Context) -> _Chosen:
    if cell.method.failure is not None:
        raise cell.method.failure
    method = cell.method.method
    started = now(loaded.device)
    if method.scorer is None:
        return _Chosen(cell, keep_everything(context), 0.0)
    scores = context.table(method.scorer.label)
    counts = allocate(method, loaded.shape, context.n_tokens, scores, cell.method.profile)
    kept = choose(counts, scores, method.protection.mask(context.n_tokens))
    return _Chosen(cell, kept, context.score_s[method.scorer.label] + now(loaded.device) - started)


def _decode(
    loaded: LoadedModel, run_id: str, chosen: Sequence[_Chosen], sample: PlannedSample, context: Context
) -> list[AnswerRecord]:
    stop = chosen[0].cell.task.stop(sample, loaded.eos)
    room = len(sample.prompt.question) + stop.max_new_tokens
    started = now(loaded.device)
    cache = evict(context, [stack(layers) for layers in zip(*(one.kept for one in chosen), strict=True)], room)
    compact_s = now(loaded.device) - started
    bytes_kept = kept_bytes(cache)
    decoding = decode(loaded, cache, [sample.prompt.question] * len(chosen), stop)
    return [
        _record(loaded, run_id, one, sample, context, row, n_bytes, _timing(context, one, compact_s, decoding))
        for one, row, n_bytes in zip(chosen, decoding.rows, bytes_kept, strict=True)
    ]


def _timing(context: Context, one: _Chosen, compact_s: float, decoding: Decoding) -> TimingRecord:
    """A cell's seconds; of a batch only the prefill's, since the rest is not one cell's."""
    if len(decoding.rows) > 1:
        return TimingRecord(prefill_s=context.prefill_s)
    evict_s = one.choose_s + compact_s
    return TimingRecord(
        prefill_s=context.prefill_s,
        evict_s=evict_s,
        ttft_s=context.prefill_s + evict_s + decoding.first_token_s,
        tpot_s=decoding.tpot_s,
    )


def _record(
    loaded: LoadedModel,
    run_id: str,
    one: _Chosen,
    sample: PlannedSample,
    context: Context,
    row: Decoded,
    bytes_kept: int,
    timing: TimingRecord,
) -> AnswerRecord:
    n_heads = loaded.shape.n_layers * loaded.shape.n_kv_heads
    return AnswerRecord(
        cell_id=one.cell.id,
        sample_id=sample.id,
        run_id=run_id,
        text=row.text,
        score=score_answer(one.cell.task.loaded, sample.rendered, row.text),
        n_context_tokens=context.n_tokens,
        n_question_tokens=len(sample.prompt.question),
        n_generated_tokens=len(row.ids),
        stop_reason=row.stop_reason,
        kv_tokens_full=n_heads * context.n_tokens,
        kv_tokens_kept=sum(len(layer.positions) for layer in one.kept),
        kv_bytes_full=context.kv_bytes,
        kv_bytes_kept=bytes_kept,
        events=[*sample.events, *_events(one.cell, context.n_tokens)],
        timing=timing,
        keep_counts=[layer.offsets.diff().tolist() for layer in one.kept],
    )


def _events(cell: PlannedCell, n_tokens: int) -> list[dict[str, object]]:
    """What a reader of the answer must know: a budget larger than the context, a profile of another protection."""
    method, profile = cell.method.method, cell.method.profile
    events: list[dict[str, object]] = []
    if method.budget.keeps_all(n_tokens):
        events.append({"event": "kept_all", "keep_tokens": method.budget.keep_tokens, "n_tokens": n_tokens})
    if profile is not None and (profile.made.get("sink"), profile.made.get("window")) != (
        method.protection.sink,
        method.protection.window,
    ):
        made_for = {"sink": profile.made.get("sink"), "window": profile.made.get("window")}
        events.append({"event": "profile_of_another_protection", **made_for})
    return events
