"""An answer's score by its task's metric, and its record.

A metric's library may raise any exception on an unexpected text. The text is stored in any case, so that a repeated run
scores it without decoding.
"""

from dataclasses import asdict

from ...db.records import AnswerRecord, EvidenceRecord, FidelityRecord, TimingRecord
from ...tasks.copying import copied_of
from ...tasks.document import Document
from ...tasks.evidence import evidence_spans
from ...tasks.scoring import score_answer
from ..errors import reason_of, without_frames
from ..methods.kept_evidence import NONE_KEPT
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


def record_of(answer: UnitAnswer, sample: Sample, run_id: str, *, layers: bool = False) -> AnswerRecord:
    """The record of a worker's answer, scored. If the metric raises, the answer has failed and keeps its text.

    Args:
        answer: The worker's.
        sample: Which it answers.
        run_id: The run's.
        layers: Whether what is kept of the evidence is recorded layer by layer too.
    """
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
        evidence=_evidence(answer, sample.rendered.document, answer.text, layers=layers),
        keep_counts=answer.keep_counts,
    )


def _evidence(answer: UnitAnswer, document: Document, text: str, *, layers: bool) -> EvidenceRecord | None:
    """What was kept of the evidence and what became of a text that is to be copied; None where the task marks
    neither."""
    kept, copied = answer.evidence, copied_of(document, text)
    if copied is None and not evidence_spans(document):
        return None
    kept = kept or NONE_KEPT
    return EvidenceRecord(
        n_tokens=kept.n_tokens,
        kept_share=kept.kept_share,
        half_share=kept.half_share,
        layer_shares=kept.layer_shares if layers and kept.n_tokens else None,
        outcome=None if copied is None else copied.outcome,
        n_right_characters=None if copied is None else copied.n_right_characters,
        n_characters=None if copied is None else copied.n_characters,
    )
