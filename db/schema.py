"""The tables. Ids are content hashes given by the caller: the same id is the same thing, in any database.

An asked thing (configuration, cell, sample) is written once and never changed, but for a cell's number of samples
and what was computed over them. Change a table only together with a new file under migrations/versions/.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .columns import Address, AnyText, Count, Hash, Json, Name, Number, VerbatimJson
from .columns import Base as Base
from .cost_tables import Cost as Cost
from .cost_tables import CostDevice as CostDevice
from .cost_tables import CostRepeat as CostRepeat
from .derived import CellSummary as CellSummary
from .derived import SampleList as SampleList
from .measure_tables import Evidence as Evidence
from .measure_tables import Fidelity as Fidelity


class Environment(Base):
    """The machine and the packages that a run used.

    `machine` names the hardware alone: the same machine has the same name after an upgrade of its packages. Seconds
    are averaged over answers of one machine only.
    """

    __tablename__ = "environment"

    id: Mapped[Hash] = mapped_column(primary_key=True)
    python: Mapped[Name]
    platform: Mapped[str]
    device: Mapped[str | None] = mapped_column(default=None)
    machine: Mapped[str | None]
    packages: Mapped[Json] = mapped_column(default_factory=dict)
    details: Mapped[Json] = mapped_column(default_factory=dict)


class Model(Base):
    """A model by its revision: the hash over its tensors as stored and its tokenizer's known ids."""

    __tablename__ = "model"

    revision: Mapped[Hash] = mapped_column(primary_key=True)
    name: Mapped[Name]
    n_layers: Mapped[int]
    n_kv_heads: Mapped[int]
    n_query_heads: Mapped[int]
    head_dim: Mapped[int]
    details: Mapped[Json] = mapped_column(default_factory=dict)


class MethodPage(Base):
    """What a plugin's documentation says; the latest run's text replaces an earlier one of the same version.

    `details` is Markdown: the docstring below its first line, formulas as code blocks, without the arguments.
    `arguments` is a list of {"name", "type", "default", "required", "meaning"}. A row of an older schema has no details
    and no meanings until a run puts it again.
    """

    __tablename__ = "method"

    kind: Mapped[Name] = mapped_column(primary_key=True)
    name: Mapped[Name] = mapped_column(primary_key=True)
    distribution: Mapped[Name] = mapped_column(primary_key=True)
    version: Mapped[Name] = mapped_column(primary_key=True)
    summary: Mapped[str]
    source: Mapped[str | None] = mapped_column(default=None)
    details: Mapped[str | None] = mapped_column(AnyText, default=None)
    arguments: Mapped[Json] = mapped_column(default_factory=dict)


class Task(Base):
    """What a task's definition says; the latest run's text replaces an earlier one of the same version."""

    __tablename__ = "task"

    name: Mapped[Name] = mapped_column(primary_key=True)
    version: Mapped[Name] = mapped_column(primary_key=True)
    family: Mapped[Name]
    metric: Mapped[Name]
    summary: Mapped[str]
    source: Mapped[str | None] = mapped_column(default=None)


class Profile(Base):
    """An artefact fitted offline for a model, and for one scorer where it depends on one.

    `arrays` holds the fitted numbers by name (LU-KV's curves: [targets, L, H]) in half precision, as `db.arrays` packs
    them; null where they are many, and in a row of an older schema until a run puts it again.
    """

    __tablename__ = "profile"

    hash: Mapped[Hash] = mapped_column(primary_key=True)
    model_revision: Mapped[Hash] = mapped_column(ForeignKey("model.revision"))
    scorer: Mapped[Name | None] = mapped_column(default=None)
    details: Mapped[Json] = mapped_column(default_factory=dict)
    arrays: Mapped[bytes | None] = mapped_column(default=None)


class Configuration(Base):
    """Everything that is ranked. Without ratio and keep_tokens the cache is full; `spec` is the canonical whole."""

    __tablename__ = "configuration"
    __table_args__ = (
        CheckConstraint("protocol IN ('agnostic', 'aware')", name="protocol"),
        CheckConstraint("ratio IS NULL OR keep_tokens IS NULL", name="one_budget"),
        Index("ix_configuration_setting", "model_revision", "dtype", "protocol", "seed", "code_version"),
    )

    id: Mapped[Hash] = mapped_column(primary_key=True)
    label: Mapped[str]
    model_revision: Mapped[Hash] = mapped_column(ForeignKey("model.revision"))
    dtype: Mapped[Name]
    attention: Mapped[Name]
    protocol: Mapped[Name]
    chat_form: Mapped[str]
    truncation: Mapped[Name]
    allocator: Mapped[Name]
    allocator_args: Mapped[Json] = mapped_column(default_factory=dict)
    scorer: Mapped[Name | None] = mapped_column(default=None)
    scorer_args: Mapped[Json] = mapped_column(default_factory=dict)
    ratio: Mapped[Number | None] = mapped_column(default=None)
    keep_tokens: Mapped[Count | None] = mapped_column(default=None)
    sink: Mapped[int]
    window: Mapped[int | None] = mapped_column(default=None)
    schedule: Mapped[Name]
    profile_hash: Mapped[Hash | None] = mapped_column(ForeignKey("profile.hash"), default=None)
    seed: Mapped[Count]
    code_version: Mapped[Name]
    spec: Mapped[Json] = mapped_column(default_factory=dict)


class ConfigurationProfile(Base):
    """A profile that a configuration uses.

    `role` is the place of the plugin that reads it ("allocator", "scorer", "allocator.of" for one that the allocator
    holds), `plugin` its name.
    """

    __tablename__ = "configuration_profile"

    configuration_id: Mapped[Hash] = mapped_column(ForeignKey("configuration.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[Name] = mapped_column(primary_key=True)
    plugin: Mapped[Name] = mapped_column(primary_key=True)
    profile_hash: Mapped[Hash] = mapped_column(ForeignKey("profile.hash"))


class Cell(Base):
    """A configuration on a task at a length. The score [0, 100] is over samples 0..samples_asked-1, or null."""

    __tablename__ = "cell"
    __table_args__ = (
        CheckConstraint("samples_asked >= 0", name="samples_asked"),
        CheckConstraint("score BETWEEN 0 AND 100", name="score"),
        Index(None, "configuration_id", "task", "length"),
    )

    id: Mapped[Hash] = mapped_column(primary_key=True)
    configuration_id: Mapped[Hash] = mapped_column(ForeignKey("configuration.id"))
    task: Mapped[Name]
    task_version: Mapped[Name]
    data_revision: Mapped[Name] = mapped_column(default="")
    length: Mapped[int | None] = mapped_column(default=None)
    samples_asked: Mapped[int]
    score: Mapped[float | None] = mapped_column(default=None)
    stderr: Mapped[float | None] = mapped_column(default=None)
    error: Mapped[str | None] = mapped_column(default=None)


class Sample(Base):
    """One task document; `ordinal` counts from 0 within (task, version, length).

    `facets` is what a reader may group answers by ({"bucket": "4-8k"}), `reference_answers` a list of texts; both are
    null in a row of an older schema until the sample is put again. `prompt` is null unless a run was told to keep it.
    """

    __tablename__ = "sample"
    __table_args__ = (CheckConstraint("ordinal >= 0", name="ordinal"),)

    id: Mapped[Hash] = mapped_column(primary_key=True)
    task: Mapped[Name]
    task_version: Mapped[Name]
    length: Mapped[int | None] = mapped_column(default=None)
    ordinal: Mapped[int]
    prompt_hash: Mapped[Hash]
    generation_hash: Mapped[Hash]
    facets: Mapped[Json | None] = mapped_column(default=None)
    reference_answers: Mapped[Any] = mapped_column(VerbatimJson, nullable=True, default=None)
    prompt: Mapped[str | None] = mapped_column(AnyText, default=None)


class Run(Base):
    """One invocation of the program. One that was killed stays "running" until the next run finds it gone.

    `exit_code` is null unless the run itself recorded its end. `pid` names its process among those of `pid_space`,
    `pid_start` distinguishes it from a later one of the same number (see `processes`); null where that cannot be read.
    """

    __tablename__ = "run"
    __table_args__ = (CheckConstraint("status IN ('running', 'finished', 'failed', 'interrupted')", name="status"),)

    id: Mapped[Hash] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    command: Mapped[Json]
    environment_id: Mapped[Hash] = mapped_column(ForeignKey("environment.id"))
    status: Mapped[Name]
    exit_code: Mapped[int | None] = mapped_column(default=None)
    heartbeat_at: Mapped[datetime | None] = mapped_column(default=None)
    pid: Mapped[Count | None] = mapped_column(default=None)
    pid_space: Mapped[Name | None] = mapped_column(default=None)
    pid_start: Mapped[Count | None] = mapped_column(default=None)


class Claim(Base):
    """A cell's sample that a run is answering just now; it counts for as long as the run is alive."""

    __tablename__ = "claim"
    __table_args__ = (Index(None, "run_id"),)

    cell_id: Mapped[Hash] = mapped_column(ForeignKey("cell.id", ondelete="CASCADE"), primary_key=True)
    sample_id: Mapped[Hash] = mapped_column(ForeignKey("sample.id", ondelete="CASCADE"), primary_key=True)
    run_id: Mapped[Hash] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))


class Answer(Base):
    """The text that a cell gave for a sample, with its score [0, 1], or the error that it gave instead.

    `kept_hash` is of the positions kept in every head, null in a row of an older schema.
    """

    __tablename__ = "answer"
    __table_args__ = (
        UniqueConstraint("cell_id", "sample_id"),
        CheckConstraint(
            "(status = 'done' AND text IS NOT NULL AND error IS NULL) OR (status = 'failed' AND error IS NOT NULL)",
            name="status",
        ),
        CheckConstraint("score BETWEEN 0 AND 1", name="score"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    cell_id: Mapped[Hash] = mapped_column(ForeignKey("cell.id"))
    sample_id: Mapped[Hash] = mapped_column(ForeignKey("sample.id"))
    run_id: Mapped[Hash] = mapped_column(ForeignKey("run.id"))
    status: Mapped[Name]
    error: Mapped[str | None]
    text: Mapped[str | None] = mapped_column(AnyText)
    score: Mapped[float | None]
    n_context_tokens: Mapped[int | None]
    n_question_tokens: Mapped[int | None]
    n_generated_tokens: Mapped[int | None]
    stop_reason: Mapped[Name | None]
    kv_tokens_full: Mapped[Count | None]
    kv_tokens_kept: Mapped[Count | None]
    kv_bytes_full: Mapped[Count | None]
    kv_bytes_kept: Mapped[Count | None]
    events: Mapped[Json]
    created_at: Mapped[datetime]
    kept_hash: Mapped[Hash | None] = mapped_column(default=None)


class Timing(Base):
    """Seconds that an answer took. Indicative: an accuracy run shares one prefill among many cells."""

    __tablename__ = "timing"

    answer_id: Mapped[int] = mapped_column(ForeignKey("answer.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[Name]
    prefill_s: Mapped[float | None]
    evict_s: Mapped[float | None]
    ttft_s: Mapped[float | None]
    tpot_s: Mapped[float | None]


class Allocation(Base):
    """How many tokens each KV head keeps: a list per layer, a number per KV head. Equal counts are one row.

    `id` is made of the counts, see `allocations`.
    """

    __tablename__ = "allocation"

    id: Mapped[Address] = mapped_column(primary_key=True, autoincrement=False)
    counts: Mapped[Json]


class AnswerAllocation(Base):
    """The allocation that an answer was given under."""

    __tablename__ = "answer_allocation"
    __table_args__ = (Index(None, "allocation_id"),)

    answer_id: Mapped[int] = mapped_column(ForeignKey("answer.id", ondelete="CASCADE"), primary_key=True)
    allocation_id: Mapped[Address] = mapped_column(ForeignKey("allocation.id"))
