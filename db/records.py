"""What passes between a run and the store: an answer with what was measured of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self


@dataclass(frozen=True, kw_only=True)
class TimingRecord:
    """Seconds of one answer; None where it has none (no second token, no eviction). Indicative by default."""

    prefill_s: float | None = None
    evict_s: float | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    kind: str = "indicative"


@dataclass(frozen=True, kw_only=True)
class FidelityRecord:
    """How the next tokens over an answer's cache differ from those over the full cache; see `measure_tables`."""

    n_tokens: int
    kl_nats: float
    agreement: float
    parted_at: int | None = None
    n_reference_tokens: int | None = None
    reference_nll: float | None = None
    full_reference_nll: float | None = None


@dataclass(frozen=True, kw_only=True)
class EvidenceRecord:
    """What an answer's cache keeps of its evidence, and whether the answer was copied; see `measure_tables`."""

    n_tokens: int
    kept_share: float | None = None
    half_share: float | None = None
    layer_shares: Sequence[float] | None = None
    outcome: Literal["found", "miscopied", "missed"] | None = None
    n_right_characters: int | None = None
    n_characters: int | None = None


@dataclass(frozen=True, kw_only=True)
class AnswerRecord:
    """What a cell gave for a sample: a done answer has a text and a score, a failed one an error.

    `score` is in [0, 1]; `keep_counts` has a list per layer, a number per KV head; `events` are JSON objects.
    ValueError for what contradicts this.
    """

    cell_id: str
    sample_id: str
    run_id: str
    status: Literal["done", "failed"] = "done"
    error: str | None = None
    text: str | None = None
    score: float | None = None
    n_context_tokens: int | None = None
    n_question_tokens: int | None = None
    n_generated_tokens: int | None = None
    stop_reason: str | None = None
    kv_tokens_full: int | None = None
    kv_tokens_kept: int | None = None
    kv_bytes_full: int | None = None
    kv_bytes_kept: int | None = None
    events: Sequence[Mapping[str, Any]] = ()
    timing: TimingRecord | None = None
    fidelity: FidelityRecord | None = None
    evidence: EvidenceRecord | None = None
    kept_hash: str | None = None
    keep_counts: Sequence[Sequence[int]] | None = None

    def __post_init__(self) -> None:
        if self.status == "done" and (self.text is None or self.score is None or self.error is not None):
            raise ValueError("a done answer has a text, a score and no error")
        if self.status == "failed" and self.error is None:
            raise ValueError("a failed answer has an error")
        if self.score is not None and not 0 <= self.score <= 1:  # NaN too, which SQLite would store as null
            raise ValueError(f"an answer's score is in [0, 1], not {self.score}")

    @classmethod
    def failure(
        cls, cell_id: str, sample_id: str, run_id: str, error: str, events: Sequence[Mapping[str, Any]] = ()
    ) -> Self:
        """The answer of a cell that broke on a sample."""
        return cls(cell_id=cell_id, sample_id=sample_id, run_id=run_id, status="failed", error=error, events=events)
