"""An answer's score by its task's metric, and its record.

A metric's library may raise any exception on an unexpected text. The text is stored in any case, so that a repeated run
scores it without decoding.
"""

from dataclasses import asdict

from ...db.records import AnswerRecord, FidelityRecord, TimingRecord
from ...tasks.scoring import score_answer
from ..errors import reason_of, without_frames
from ..samples.sample_set import Sample
from .unit import UnitAnswer


def score_text(sample: Sample, text: str) -> float | Exception:
    """The metric of the sample's task for one text, in [0, 1], or the error that it raised."""
    document = sample.rendered.document
    try:
        score = score_answer(document, text)
    except Exception as error:
        return without_frames(error)
    if not 0 <= score <= 1:  # NaN too
        return ValueError(f"the metric of {document['task']} gave {score}, which is not in [0, 1]")
    return score


def record_of(answer: UnitAnswer, sample: Sample, run_id: str) -> AnswerRecord:
    """The record of a worker's answer, scored. If the metric raises, the answer has failed and keeps its text."""
    cell_id = answer.configuration_id
    if answer.text is None:
        return AnswerRecord.failure(cell_id, sample.id, run_id, answer.error or "no text")
    score = score_text(sample, answer.text)
    error = reason_of(score) if isinstance(score, Exception) else None
    return AnswerRecord(
        cell_id=cell_id,
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
        fidelity=None if answer.fidelity is None else FidelityRecord(**asdict(answer.fidelity)),
        kept_hash=answer.kept_hash,
        keep_counts=answer.keep_counts,
    )
