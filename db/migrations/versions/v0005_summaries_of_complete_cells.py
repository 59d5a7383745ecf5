"""Summaries of complete cells, which any change of what they were made from deletes; kept prompts; wider indexes.

Whoever opens a database to write to it summarises the cells that have no summary: this script makes none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_HASH = sa.String(64)
_ADDRESS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_OWN_CELL = "cell_id = {row}.cell_id"
_CELL_OF_ANSWER = "cell_id = (SELECT cell_id FROM answer WHERE id = {row}.answer_id)"
_CELL = "cell_id = {row}.id"
_ANY = "TRUE"

_TRIGGERS = (
    ("answer", "INSERT", "", _OWN_CELL),
    ("answer", "UPDATE", "", _OWN_CELL),
    ("answer", "DELETE", "", _OWN_CELL),
    ("timing", "INSERT", "", _CELL_OF_ANSWER),
    ("timing", "UPDATE", "", _CELL_OF_ANSWER),
    ("timing", "DELETE", "", _CELL_OF_ANSWER),
    ("cell", "UPDATE", "samples_asked", _CELL),
    ("sample", "UPDATE", "ordinal", _ANY),
    ("sample", "DELETE", "", _ANY),
    ("run", "UPDATE", "environment_id", _ANY),
    ("run", "DELETE", "", _ANY),
    ("environment", "UPDATE", "machine", _ANY),
    ("environment", "DELETE", "", _ANY),
)
"""(table, change, the one column whose change matters, which summaries it makes untrue)."""


def upgrade() -> None:
    """Add tables, a column, indexes and triggers."""
    op.add_column("sample", sa.Column("prompt", sa.Text()))
    op.drop_index("ix_cell_configuration_id", "cell")
    op.create_index("ix_cell_configuration_id_task_length", "cell", ["configuration_id", "task", "length"])
    setting = ["model_revision", "dtype", "protocol", "seed", "code_version"]
    op.create_index("ix_configuration_setting", "configuration", setting)
    op.create_index("ix_answer_allocation_allocation_id", "answer_allocation", ["allocation_id"])
    _create_tables()
    create_triggers()


def create_triggers() -> None:
    """Create the triggers, those that are there anew."""
    for trigger in _TRIGGERS:
        _create_trigger(*trigger)


def _create_tables() -> None:
    op.create_table(
        "sample_list",
        sa.Column("id", _ADDRESS, nullable=False, autoincrement=False),
        sa.Column("samples", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sample_list"),
    )
    means = ("kv_tokens_full", "kv_tokens_kept", "kv_bytes_full", "kv_bytes_kept")
    seconds = ("ttft_s", "tpot_s", "prefill_s", "evict_s")
    op.create_table(
        "cell_summary",
        sa.Column("cell_id", _HASH, nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("n", "n_failed", "n_covered", "n_timed")),
        sa.Column("answer_error", sa.Text()),
        sa.Column("machine", sa.Text()),
        sa.Column("environment", _HASH),
        *(sa.Column(name, sa.Double()) for name in (*means, *seconds)),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("sample_list_id", _ADDRESS, nullable=False),
        sa.Column("scores", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("cell_id", name="pk_cell_summary"),
        sa.ForeignKeyConstraint(["cell_id"], ["cell.id"], name="fk_cell_summary_cell_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["sample_list_id"], ["sample_list.id"], name="fk_cell_summary_sample_list_id"),
    )


def _create_trigger(table: str, change: str, column: str, untrue: str) -> None:
    name = f"summary_after_{change.lower()}_of_{table}"
    rows = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}[change]
    which = untrue if untrue == _ANY else " OR ".join(untrue.format(row=row) for row in rows)
    body = f"DELETE FROM cell_summary WHERE {which};"
    moment = f"AFTER {change}{f' OF {column}' if column else ''} ON {table} FOR EACH ROW"
    if op.get_context().dialect.name == "sqlite":
        changed = f" WHEN OLD.{column} IS NOT NEW.{column}" if column else ""
        op.execute(f"DROP TRIGGER IF EXISTS {name}")
        op.execute(f"CREATE TRIGGER {name} {moment}{changed} BEGIN {body} END")
        return
    changed = f" WHEN (OLD.{column} IS DISTINCT FROM NEW.{column})" if column else ""
    op.execute(
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$"
    )
    op.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}")
    op.execute(f"CREATE TRIGGER {name} {moment}{changed} EXECUTE FUNCTION {name}()")
