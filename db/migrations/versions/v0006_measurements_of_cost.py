"""Measurements of cost, with every repeat, and the devices that they had for themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TRIGGER = "cost_alone_on_device"
_HASH = sa.String(64)
_NAME = sa.String(255)
_MEASURED = (
    "gate_error IS NOT NULL AND gate_tolerance IS NOT NULL AND gate_error <= gate_tolerance "
    "AND kv_bytes_kept IS NOT NULL AND kv_bytes_full IS NOT NULL AND footprint IS NOT NULL"
)


def upgrade() -> None:
    """Add three tables; nothing that is there changes."""
    _create_cost()
    _create_cost_repeat()
    _create_cost_device()
    create_trigger()


def create_trigger() -> None:
    """Refuse a measurement that used a device while another one did; a trigger of this name is replaced."""
    shared = """EXISTS (SELECT 1 FROM cost_device held JOIN cost other ON other.id = held.cost_id
        JOIN cost own ON own.id = NEW.cost_id WHERE held.device = NEW.device AND other.id <> own.id
        AND other.started_at < own.finished_at AND own.started_at < other.finished_at)"""
    op.execute(f"DROP TRIGGER IF EXISTS {TRIGGER}" + ("" if _is_sqlite() else " ON cost_device"))
    moment = f"CREATE TRIGGER {TRIGGER} BEFORE INSERT ON cost_device FOR EACH ROW"
    reason = "two measurements of cost used a device at the same time"
    if _is_sqlite():
        op.execute(f"{moment} WHEN {shared} BEGIN SELECT RAISE(ABORT, '{reason}'); END")
        return
    body = f"BEGIN IF {shared} THEN RAISE EXCEPTION '{reason}'; END IF; RETURN NEW; END"
    op.execute(f"CREATE OR REPLACE FUNCTION {TRIGGER}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
    op.execute(f"{moment} EXECUTE FUNCTION {TRIGGER}()")


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"


def _create_cost() -> None:
    counts = ("kv_tokens_full", "kv_tokens_kept", "kv_bytes_full", "kv_bytes_kept", "kv_bytes_allocated", "model_bytes")
    op.create_table(
        "cost",
        sa.Column("id", _HASH, nullable=False),
        *(sa.Column(name, _HASH, nullable=False) for name in ("configuration_id", "sample_id", "run_id")),
        sa.Column("environment_id", _HASH, nullable=False),
        *(sa.Column(name, _NAME, nullable=False) for name in ("task", "task_version", "data_revision", "status")),
        sa.Column("length", sa.Integer()),
        sa.Column("error", sa.Text()),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=False) for name in ("started_at", "finished_at")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("n_context_tokens", "n_question_tokens")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("n_new_tokens", "n_repeats")),
        sa.Column("max_memory", sa.BigInteger()),
        *(sa.Column(name, sa.Double()) for name in ("gate_error", "gate_tolerance", "footprint")),
        *(sa.Column(name, sa.Integer()) for name in ("n_gate_tokens", "batch_rows")),
        *(sa.Column(name, sa.BigInteger()) for name in counts),
        *(sa.Column(name, _NAME) for name in ("clock", "memory")),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cost"),
        sa.ForeignKeyConstraint(["configuration_id"], ["configuration.id"], name="fk_cost_configuration_id"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_cost_run_id"),
        sa.ForeignKeyConstraint(["environment_id"], ["environment.id"], name="fk_cost_environment_id"),
        sa.CheckConstraint(
            f"(status = 'done' AND error IS NULL AND {_MEASURED}) OR (status = 'failed' AND error IS NOT NULL)",
            name="ck_cost_status",
        ),
        sa.CheckConstraint("finished_at >= started_at", name="ck_cost_finished_at"),
        sa.CheckConstraint("n_repeats >= 1", name="ck_cost_n_repeats"),
    )
    op.create_index("ix_cost_configuration_id", "cost", ["configuration_id"])


def _create_cost_repeat() -> None:
    op.create_table(
        "cost_repeat",
        sa.Column("cost_id", _HASH, nullable=False),
        sa.Column("kind", _NAME, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False, autoincrement=False),
        *(sa.Column(f"{name}_s", sa.Double()) for name in ("prefill", "score", "allocate", "select", "compact")),
        *(sa.Column(f"{name}_s", sa.Double(), nullable=False) for name in ("first_token", "wall")),
        sa.Column("token_s", sa.JSON(), nullable=False),
        *(sa.Column(name, sa.BigInteger()) for name in ("peak_bytes", "peak_reserved_bytes")),
        sa.Column("energy_j", sa.Double()),
        sa.PrimaryKeyConstraint("cost_id", "kind", "ordinal", name="pk_cost_repeat"),
        sa.ForeignKeyConstraint(["cost_id"], ["cost.id"], name="fk_cost_repeat_cost_id", ondelete="CASCADE"),
        sa.CheckConstraint("ordinal >= 0", name="ck_cost_repeat_ordinal"),
        sa.CheckConstraint(
            "kind = 'batch' OR (kind = 'alone' AND prefill_s IS NOT NULL AND score_s IS NOT NULL AND allocate_s IS NOT "
            "NULL AND select_s IS NOT NULL AND compact_s IS NOT NULL)",
            name="ck_cost_repeat_kind",
        ),
    )


def _create_cost_device() -> None:
    op.create_table(
        "cost_device",
        sa.Column("cost_id", _HASH, nullable=False),
        sa.Column("device", _NAME, nullable=False),
        sa.PrimaryKeyConstraint("cost_id", "device", name="pk_cost_device"),
        sa.ForeignKeyConstraint(["cost_id"], ["cost.id"], name="fk_cost_device_cost_id", ondelete="CASCADE"),
    )
    op.create_index("ix_cost_device_device", "cost_device", ["device"])
