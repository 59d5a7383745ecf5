"""The first schema: what was run with what, the cells, their samples and their answers."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_HASH = sa.String(64)
_NAME = sa.String(255)
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create every table, parents first."""
    _create_what_was_used()
    _create_configuration()
    _create_what_was_asked()
    _create_run()
    _create_answer()


def _create_what_was_used() -> None:
    op.create_table(
        "environment",
        sa.Column("id", _HASH, nullable=False),
        sa.Column("python", _NAME, nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("device", sa.Text()),
        sa.Column("packages", sa.JSON(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_environment"),
    )
    op.create_table(
        "model",
        sa.Column("revision", _HASH, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("n_layers", sa.Integer(), nullable=False),
        sa.Column("n_kv_heads", sa.Integer(), nullable=False),
        sa.Column("n_query_heads", sa.Integer(), nullable=False),
        sa.Column("head_dim", sa.Integer(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_model"),
    )
    op.create_table(
        "method",
        sa.Column("kind", _NAME, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("distribution", _NAME, nullable=False),
        sa.Column("version", _NAME, nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("source", sa.Text()),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "distribution", "version", name="pk_method"),
    )
    op.create_table(
        "profile",
        sa.Column("hash", _HASH, nullable=False),
        sa.Column("model_revision", _HASH, nullable=False),
        sa.Column("scorer", _NAME),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_profile"),
        sa.ForeignKeyConstraint(["model_revision"], ["model.revision"], name="fk_profile_model_revision"),
    )


def _create_configuration() -> None:
    op.create_table(
        "configuration",
        sa.Column("id", _HASH, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("model_revision", _HASH, nullable=False),
        sa.Column("dtype", _NAME, nullable=False),
        sa.Column("attention", _NAME, nullable=False),
        sa.Column("protocol", _NAME, nullable=False),
        sa.Column("chat_form", sa.Text(), nullable=False),
        sa.Column("truncation", _NAME, nullable=False),
        sa.Column("allocator", _NAME, nullable=False),
        sa.Column("allocator_args", sa.JSON(), nullable=False),
        sa.Column("scorer", _NAME),
        sa.Column("scorer_args", sa.JSON(), nullable=False),
        sa.Column("ratio", sa.String(40)),
        sa.Column("keep_tokens", sa.BigInteger()),
        sa.Column("sink", sa.Integer(), nullable=False),
        sa.Column("window", sa.Integer()),
        sa.Column("schedule", _NAME, nullable=False),
        sa.Column("profile_hash", _HASH),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("code_version", _NAME, nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_configuration"),
        sa.CheckConstraint("protocol IN ('agnostic', 'aware')", name="ck_configuration_protocol"),
        sa.CheckConstraint("ratio IS NULL OR keep_tokens IS NULL", name="ck_configuration_one_budget"),
        sa.ForeignKeyConstraint(["model_revision"], ["model.revision"], name="fk_configuration_model_revision"),
        sa.ForeignKeyConstraint(["profile_hash"], ["profile.hash"], name="fk_configuration_profile_hash"),
    )


def _create_what_was_asked() -> None:
    op.create_table(
        "cell",
        sa.Column("id", _HASH, nullable=False),
        sa.Column("configuration_id", _HASH, nullable=False),
        sa.Column("task", _NAME, nullable=False),
        sa.Column("task_version", _NAME, nullable=False),
        sa.Column("data_revision", _NAME, nullable=False),
        sa.Column("length", sa.Integer()),
        sa.Column("samples_asked", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double()),
        sa.Column("stderr", sa.Double()),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_cell"),
        sa.CheckConstraint("samples_asked >= 0", name="ck_cell_samples_asked"),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name="ck_cell_score"),
        sa.ForeignKeyConstraint(["configuration_id"], ["configuration.id"], name="fk_cell_configuration_id"),
    )
    op.create_index("ix_cell_configuration_id", "cell", ["configuration_id"])
    op.create_table(
        "sample",
        sa.Column("id", _HASH, nullable=False),
        sa.Column("task", _NAME, nullable=False),
        sa.Column("task_version", _NAME, nullable=False),
        sa.Column("length", sa.Integer()),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("prompt_hash", _HASH, nullable=False),
        sa.Column("generation_hash", _HASH, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sample"),
        sa.CheckConstraint("ordinal >= 0", name="ck_sample_ordinal"),
    )


def _create_run() -> None:
    op.create_table(
        "run",
        sa.Column("id", _HASH, nullable=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT),
        sa.Column("command", sa.JSON(), nullable=False),
        sa.Column("environment_id", _HASH, nullable=False),
        sa.Column("status", _NAME, nullable=False),
        sa.Column("exit_code", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.CheckConstraint("status IN ('running', 'finished', 'failed', 'interrupted')", name="ck_run_status"),
        sa.ForeignKeyConstraint(["environment_id"], ["environment.id"], name="fk_run_environment_id"),
    )


def _create_answer() -> None:
    op.create_table(
        "answer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("cell_id", _HASH, nullable=False),
        sa.Column("sample_id", _HASH, nullable=False),
        sa.Column("run_id", _HASH, nullable=False),
        sa.Column("status", _NAME, nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("text", sa.Text()),
        sa.Column("score", sa.Double()),
        sa.Column("n_context_tokens", sa.Integer()),
        sa.Column("n_question_tokens", sa.Integer()),
        sa.Column("n_generated_tokens", sa.Integer()),
        sa.Column("stop_reason", _NAME),
        sa.Column("kv_tokens_full", sa.BigInteger()),
        sa.Column("kv_tokens_kept", sa.BigInteger()),
        sa.Column("kv_bytes_full", sa.BigInteger()),
        sa.Column("kv_bytes_kept", sa.BigInteger()),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_answer"),
        sa.UniqueConstraint("cell_id", "sample_id", name="uq_answer_cell_id_sample_id"),
        sa.CheckConstraint(
            "(status = 'done' AND text IS NOT NULL AND error IS NULL) OR (status = 'failed' AND error IS NOT NULL)",
            name="ck_answer_status",
        ),
        sa.CheckConstraint("score BETWEEN 0 AND 1", name="ck_answer_score"),
        sa.ForeignKeyConstraint(["cell_id"], ["cell.id"], name="fk_answer_cell_id"),
        sa.ForeignKeyConstraint(["sample_id"], ["sample.id"], name="fk_answer_sample_id"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_answer_run_id"),
    )
    op.create_table(
        "timing",
        sa.Column("answer_id", sa.Integer(), nullable=False),
        sa.Column("kind", _NAME, nullable=False),
        sa.Column("prefill_s", sa.Double()),
        sa.Column("evict_s", sa.Double()),
        sa.Column("ttft_s", sa.Double()),
        sa.Column("tpot_s", sa.Double()),
        sa.PrimaryKeyConstraint("answer_id", name="pk_timing"),
        sa.ForeignKeyConstraint(["answer_id"], ["answer.id"], name="fk_timing_answer_id", ondelete="CASCADE"),
    )
    op.create_table(
        "keep_counts",
        sa.Column("answer_id", sa.Integer(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("answer_id", name="pk_keep_counts"),
        sa.ForeignKeyConstraint(["answer_id"], ["answer.id"], name="fk_keep_counts_answer_id", ondelete="CASCADE"),
    )
