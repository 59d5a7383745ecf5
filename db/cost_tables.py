"""Tables of measurements of cost: one cell alone on a device, measured several times.

`db.cost_records` says what may be put into them, `db.costs` puts and reads it.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from .columns import Base, Count, Hash, Json, Name, VerbatimJson

_MEASURED = (
    "gate_error IS NOT NULL AND gate_tolerance IS NOT NULL AND gate_error <= gate_tolerance "
    "AND kv_bytes_kept IS NOT NULL AND kv_bytes_full IS NOT NULL AND footprint IS NOT NULL"
)


class Cost(Base):
    """What one cell costs on one machine: its measurement, or the error that it gave instead.

    `id` is a hash of what was asked: configuration, task and length, environment, repeats, tokens, memory limit and
    the version of the way of measuring. A measurement refers to no cell, since a cell asks for answers.

    `n_repeats` is how many were asked for; a done one has exactly so many of each kind in `cost_repeat`. `gate_error`
    is how far the evicted cache's logits are from those of the masked full cache. `model_bytes` is the memory that the
    loaded model takes, counted like the peaks of the repeats (`memory` says how). `batch_rows` is the largest batch
    within `max_memory` bytes, null where no limit was given.
    """

    __tablename__ = "cost"
    __table_args__ = (
        CheckConstraint(
            f"(status = 'done' AND error IS NULL AND {_MEASURED}) OR (status = 'failed' AND error IS NOT NULL)",
            name="status",
        ),
        CheckConstraint("finished_at >= started_at", name="finished_at"),
        CheckConstraint("n_repeats >= 1", name="n_repeats"),
        Index(None, "configuration_id"),
    )

    id: Mapped[Hash] = mapped_column(primary_key=True)
    configuration_id: Mapped[Hash] = mapped_column(ForeignKey("configuration.id"))
    task: Mapped[Name]
    task_version: Mapped[Name]
    data_revision: Mapped[Name]
    length: Mapped[int | None]
    sample_id: Mapped[Hash]
    run_id: Mapped[Hash] = mapped_column(ForeignKey("run.id"))
    environment_id: Mapped[Hash] = mapped_column(ForeignKey("environment.id"))
    status: Mapped[Name]
    error: Mapped[str | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
    n_context_tokens: Mapped[int]
    n_question_tokens: Mapped[int]
    n_new_tokens: Mapped[int]
    n_repeats: Mapped[int]
    max_memory: Mapped[Count | None]
    gate_error: Mapped[float | None]
    gate_tolerance: Mapped[float | None]
    n_gate_tokens: Mapped[int | None]
    kv_tokens_full: Mapped[Count | None]
    kv_tokens_kept: Mapped[Count | None]
    kv_bytes_full: Mapped[Count | None]
    kv_bytes_kept: Mapped[Count | None]
    kv_bytes_allocated: Mapped[Count | None]
    footprint: Mapped[float | None]
    clock: Mapped[Name | None]
    memory: Mapped[Name | None]
    model_bytes: Mapped[Count | None]
    batch_rows: Mapped[int | None]
    details: Mapped[Json]


class CostRepeat(Base):
    """One repeat of a measurement: seconds of each step, and the most memory that was in use during it.

    Of kind "batch", `cost.batch_rows` rows decode together from caches that are there already: it has no steps before
    the first token. `token_s` is a list: the seconds of each later token.
    """

    __tablename__ = "cost_repeat"
    __table_args__ = (
        CheckConstraint("ordinal >= 0", name="ordinal"),
        CheckConstraint(
            "kind = 'batch' OR (kind = 'alone' AND prefill_s IS NOT NULL AND score_s IS NOT NULL AND allocate_s IS NOT "
            "NULL AND select_s IS NOT NULL AND compact_s IS NOT NULL)",
            name="kind",
        ),
    )

    cost_id: Mapped[Hash] = mapped_column(ForeignKey("cost.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[Name] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    prefill_s: Mapped[float | None]
    score_s: Mapped[float | None]
    allocate_s: Mapped[float | None]
    select_s: Mapped[float | None]
    compact_s: Mapped[float | None]
    first_token_s: Mapped[float]
    token_s: Mapped[Any] = mapped_column(VerbatimJson, nullable=False)
    wall_s: Mapped[float]
    peak_bytes: Mapped[Count | None]
    peak_reserved_bytes: Mapped[Count | None]
    energy_j: Mapped[float | None]


class CostDevice(Base):
    """A device that a measurement had for itself from its start to its end. `device` is a hash that no other has."""

    __tablename__ = "cost_device"
    __table_args__ = (Index(None, "device"),)

    cost_id: Mapped[Hash] = mapped_column(ForeignKey("cost.id", ondelete="CASCADE"), primary_key=True)
    device: Mapped[Name] = mapped_column(primary_key=True)
