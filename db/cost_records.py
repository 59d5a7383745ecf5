"""What passes between a measurement of cost and the store: what is incomplete or was not proven right is refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from typing import Any, Literal

STEPS = ("prefill_s", "score_s", "allocate_s", "select_s", "compact_s", "first_token_s")
"""The steps up to the first token, in order; ttft_s is their sum."""


@dataclass(frozen=True, kw_only=True)
class RepeatRecord:
    """One repeat. A batch's has no steps before the first token.

    Attributes:
        first_token_s: From the first token fed after the eviction to the first token chosen.
        token_s: Of each later token, in order.
        wall_s: Of the whole repeat, the program's own checks included.
        peak_bytes: The most memory in use; None where it cannot be read.
        peak_reserved_bytes: The most that torch's allocator had taken from a CUDA device.
        energy_j: That the device's card used meanwhile; None where NVML is not there.
    """

    prefill_s: float | None = None
    score_s: float | None = None
    allocate_s: float | None = None
    select_s: float | None = None
    compact_s: float | None = None
    first_token_s: float
    token_s: Sequence[float]
    wall_s: float
    peak_bytes: int | None = None
    peak_reserved_bytes: int | None = None
    energy_j: float | None = None

    def seconds(self, *, alone: bool) -> Iterator[float | None]:
        """All that must be there."""
        yield from (getattr(self, name) for name in (STEPS if alone else STEPS[-1:]))
        yield self.wall_s
        yield from self.token_s


@dataclass(frozen=True, kw_only=True)
class CostRecord:
    """What a cell costs on a machine, or the error that the measurement gave instead.

    The attributes are the columns of `db.cost_tables.Cost`. ValueError for a done measurement whose gate did not pass,
    whose repeats are not all there, or that lacks a number; for a failed one that has repeats.

    Attributes:
        devices: That it had for itself, each by a name that no other device has.
        repeats: `n_repeats` of them.
        batch: As many of the largest batch; none without `batch_rows`.
    """

    id: str
    configuration_id: str
    task: str
    task_version: str
    data_revision: str
    length: int | None
    sample_id: str
    run_id: str
    environment_id: str
    devices: Sequence[str]
    status: Literal["done", "failed"] = "done"
    error: str | None = None
    started_at: datetime
    finished_at: datetime
    n_context_tokens: int
    n_question_tokens: int
    n_new_tokens: int
    n_repeats: int
    max_memory: int | None = None
    gate_error: float | None = None
    gate_tolerance: float | None = None
    n_gate_tokens: int | None = None
    kv_tokens_full: int | None = None
    kv_tokens_kept: int | None = None
    kv_bytes_full: int | None = None
    kv_bytes_kept: int | None = None
    kv_bytes_allocated: int | None = None
    footprint: float | None = None
    clock: str | None = None
    memory: str | None = None
    model_bytes: int | None = None
    batch_rows: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    repeats: Sequence[RepeatRecord] = ()
    batch: Sequence[RepeatRecord] = ()

    def __post_init__(self) -> None:
        if not self.devices:
            raise ValueError("a measurement of cost has a device for itself")
        if self.finished_at < self.started_at:
            raise ValueError("a measurement of cost ends after it began")
        if self.status == "failed":
            if self.error is None or self.repeats or self.batch:
                raise ValueError("a failed measurement of cost has an error and no repeats")
            return
        if self.error is not None:
            raise ValueError("a done measurement of cost has no error")
        self._check_gate()
        self._check_repeats()

    def _check_gate(self) -> None:
        if self.gate_error is None or self.gate_tolerance is None or not self.gate_error <= self.gate_tolerance:
            raise ValueError(f"no cost is stored: its logits differ by {self.gate_error}, of {self.gate_tolerance}")
        missing = [name for name in ("kv_bytes_full", "kv_bytes_kept", "footprint") if getattr(self, name) is None]
        if missing:
            raise ValueError(f"a done measurement of cost lacks its {missing[0]}")

    def _check_repeats(self) -> None:
        n_batch = 0 if self.batch_rows is None else self.n_repeats
        for kind, repeats, wanted in (("", self.repeats, self.n_repeats), ("batch ", self.batch, n_batch)):
            if len(repeats) != wanted:
                raise ValueError(f"{len(repeats)} of {wanted} {kind}repeats were measured")
            for repeat in repeats:
                if len(repeat.token_s) != self.n_new_tokens - 1:
                    raise ValueError(f"{len(repeat.token_s)} of {self.n_new_tokens - 1} later tokens were measured")
                if not all(_is_duration(one) for one in repeat.seconds(alone=not kind)):
                    raise ValueError(f"a {kind}repeat lacks one of its seconds")


def _is_duration(seconds: float | None) -> bool:
    return seconds is not None and isfinite(seconds) and seconds >= 0
