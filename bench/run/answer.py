"""Answers of one sample: evict for each cell, decode one cell alone or several as a batch of ragged caches."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...db.records import AnswerRecord, TimingRecord
from ..engine.clock import now
from ..engine.decode import Decoded, Decoding, decode
from ..engine.layouts import RAGGED
from ..engine.prefill import Context
from ..errors import reason_of, without_frames
from ..methods.choosing import Barred, Choice, choose_kept
from ..models.load import LoadedModel
from ..models.weights import ModelChanged
from .plan import PlannedCell, PlannedSample
from .scoring import score_text

_Chosen = tuple[PlannedCell, Choice]


def answer_cells(
    loaded: LoadedModel,
    run_id: str,
    cells: Sequence[PlannedCell],
    sample: PlannedSample,
    context: Context,
    barred: Barred,
) -> Iterator[tuple[PlannedCell, AnswerRecord | Exception]]:
    """Every cell with its answer, or with what went wrong in it: a cell's failure is its own.

    An answer whose metric broke has failed, and keeps its text.

    Several cells decode as one batch of ragged caches; if the batch fails, each is tried alone.
    """
    chosen: list[_Chosen] = []
    for cell in cells:
        try:
            method, seed = cell.method.method, cell.method.configuration.seed
            chosen.append((cell, choose_kept(loaded, method, cell.method.profile, context, seed, barred)))
        except ModelChanged:
            raise
        except (Exception, SystemExit) as error:  # a plugin may raise anything; only its own cell fails
            yield cell, without_frames(error)
    if not chosen:
        return
    answers = _try(loaded, run_id, chosen, sample, context)
    if isinstance(answers, Exception) and len(chosen) > 1:
        event = {"event": "batch_failed", "error": reason_of(answers), "configurations": len(chosen)}
        for cell, choice in chosen:
            alone = replace(choice, events=(*choice.events, event))
            answer = _try(loaded, run_id, [(cell, alone)], sample, context)
            yield cell, answer if isinstance(answer, Exception) else answer[0]
        return
    for number, (cell, _) in enumerate(chosen):
        yield cell, answers if isinstance(answers, Exception) else answers[number]


def _try(
    loaded: LoadedModel, run_id: str, chosen: Sequence[_Chosen], sample: PlannedSample, context: Context
) -> list[AnswerRecord] | Exception:
    """The answers, or what went wrong: out of memory, logits that are not finite."""
    try:
        return _decode(loaded, run_id, chosen, sample, context)
    except Exception as error:
        return without_frames(error)


def _decode(
    loaded: LoadedModel, run_id: str, chosen: Sequence[_Chosen], sample: PlannedSample, context: Context
) -> list[AnswerRecord]:
    stop = chosen[0][0].task.stop(sample, loaded)
    room = len(sample.prompt.question) + stop.max_new_tokens
    started = now(loaded.device)
    cache = RAGGED.build(context, [choice.kept for _, choice in chosen], room)
    compact_s = now(loaded.device) - started
    bytes_kept = cache.kv_bytes_by_row()
    decoding = decode(loaded, cache, [sample.prompt.question] * len(chosen), stop)
    return [
        _record(loaded, run_id, one, sample, context, row, n_bytes, _timing(context, one[1], compact_s, decoding))
        for one, row, n_bytes in zip(chosen, decoding.rows, bytes_kept, strict=True)
    ]


def _timing(context: Context, choice: Choice, compact_s: float, decoding: Decoding) -> TimingRecord:
    """A cell's seconds; of a batch only the prefill's, since the rest is not one cell's."""
    if len(decoding.rows) > 1:
        return TimingRecord(prefill_s=context.prefill_s)
    evict_s = choice.choose_s + compact_s
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
    cell, choice = one
    score = score_text(cell.task, sample.rendered, row.text)
    error = reason_of(score) if isinstance(score, Exception) else None
    n_heads = loaded.shape.n_layers * loaded.shape.n_kv_heads
    return AnswerRecord(
        cell_id=cell.id,
        sample_id=sample.id,
        run_id=run_id,
        status="done" if error is None else "failed",
        error=error,
        text=row.text,
        score=None if isinstance(score, Exception) else score,
        n_context_tokens=context.n_tokens,
        n_question_tokens=len(sample.prompt.question),
        n_generated_tokens=len(row.ids),
        stop_reason=row.stop_reason,
        kv_tokens_full=n_heads * context.n_tokens,
        kv_tokens_kept=sum(len(layer.positions) for layer in choice.kept),
        kv_bytes_full=context.kv_bytes,
        kv_bytes_kept=bytes_kept,
        events=[*sample.events, *choice.events, *row.events],
        timing=timing,
        keep_counts=[layer.offsets.diff().tolist() for layer in choice.kept],
    )
