"""A worker's answer with its score, as it is stored."""

from dataclasses import asdict

from ...db.records import AnswerRecord, TimingRecord
from ..errors import reason_of
from .plan import PlannedCell, PlannedSample
from .scoring import score_text
from .unit import UnitAnswer


def scored_record(cell: PlannedCell, sample: PlannedSample, run_id: str, answer: UnitAnswer) -> AnswerRecord:
    """The answer's record. If the metric raises, the answer has failed and keeps its text."""
    if answer.text is None:
        return AnswerRecord.failure(cell.id, sample.id, run_id, answer.error or "")
    score = score_text(cell.task, sample.rendered, answer.text)
    error = reason_of(score) if isinstance(score, Exception) else None
    return AnswerRecord(
        cell_id=cell.id,
        sample_id=sample.id,
        run_id=run_id,
        status="done" if error is None else "failed",
        error=error,
        text=answer.text,
        score=None if isinstance(score, Exception) else score,
        n_context_tokens=answer.n_context_tokens,
        n_question_tokens=answer.n_question_tokens,
        n_generated_tokens=answer.n_generated_tokens,
        stop_reason=answer.stop_reason,
        kv_tokens_full=answer.kv_tokens_full,
        kv_tokens_kept=answer.kv_tokens_kept,
        kv_bytes_full=answer.kv_bytes_full,
        kv_bytes_kept=answer.kv_bytes_kept,
        events=[*sample.events, *answer.events],
        timing=TimingRecord(**asdict(answer.seconds)),
        keep_counts=answer.keep_counts,
    )
