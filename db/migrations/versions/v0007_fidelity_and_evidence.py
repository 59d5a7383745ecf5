"""How an answer's cache differs from the full one, what it keeps of the evidence, and a hash of what it keeps.

Summaries that are there stay true: of their answers none has been measured so.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_HASH = sa.String(64)
_MEANS = ("kl_nats", "agreement", "reference_nll", "full_reference_nll", "evidence_kept_share", "evidence_half_share")
_COUNTS = ("n_fidelity", "n_evidence", "n_found", "n_miscopied", "n_missed")


def upgrade() -> None:
    """Add two tables, columns that are null in the rows that are there, and triggers."""
    op.add_column("answer", sa.Column("kept_hash", _HASH))
    op.add_column("cell_summary", sa.Column("kept_hash", _HASH))
    for name in _MEANS:
        op.add_column("cell_summary", sa.Column(name, sa.Double()))
    for name in _COUNTS:
        op.add_column("cell_summary", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    _create_fidelity()
    _create_evidence()
    create_triggers()


def create_triggers() -> None:
    """Create the triggers that delete summaries which have become untrue, those that are there anew."""
    for table in ("fidelity", "evidence"):
        for change in ("INSERT", "UPDATE", "DELETE"):
            _create_trigger(f"summary_after_{change.lower()}_of_{table}", change, table)


def _create_trigger(name: str, change: str, table: str) -> None:
    rows = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}[change]
    answers = ", ".join(f"{row}.answer_id" for row in rows)
    body = f"DELETE FROM cell_summary WHERE cell_id IN (SELECT cell_id FROM answer WHERE id IN ({answers}));"
    moment = f"CREATE TRIGGER {name} AFTER {change} ON {table} FOR EACH ROW"
    is_sqlite = op.get_context().dialect.name == "sqlite"
    op.execute(f"DROP TRIGGER IF EXISTS {name}" + ("" if is_sqlite else f" ON {table}"))
    if is_sqlite:
        op.execute(f"{moment} BEGIN {body} END")
        return
    function = f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql"
    op.execute(f"{function} AS $$ BEGIN {body} RETURN NULL; END $$")
    op.execute(f"{moment} EXECUTE FUNCTION {name}()")


def _create_fidelity() -> None:
    op.create_table(
        "fidelity",
        sa.Column("answer_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("n_tokens", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("kl_nats", "agreement")),
        sa.Column("parted_at", sa.Integer()),
        sa.Column("n_reference_tokens", sa.Integer()),
        *(sa.Column(name, sa.Double()) for name in ("reference_nll", "full_reference_nll")),
        sa.PrimaryKeyConstraint("answer_id", name="pk_fidelity"),
        sa.ForeignKeyConstraint(["answer_id"], ["answer.id"], name="fk_fidelity_answer_id", ondelete="CASCADE"),
        sa.CheckConstraint("n_tokens >= 1", name="ck_fidelity_n_tokens"),
        sa.CheckConstraint("kl_nats >= 0", name="ck_fidelity_kl_nats"),
        sa.CheckConstraint("agreement BETWEEN 0 AND 1", name="ck_fidelity_agreement"),
    )


def _create_evidence() -> None:
    op.create_table(
        "evidence",
        sa.Column("answer_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("n_tokens", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double()) for name in ("kept_share", "half_share")),
        sa.Column("layer_shares", sa.JSON()),
        sa.Column("outcome", sa.String(255)),
        *(sa.Column(name, sa.Integer()) for name in ("n_right_characters", "n_characters")),
        sa.PrimaryKeyConstraint("answer_id", name="pk_evidence"),
        sa.ForeignKeyConstraint(["answer_id"], ["answer.id"], name="fk_evidence_answer_id", ondelete="CASCADE"),
        sa.CheckConstraint("kept_share BETWEEN 0 AND 1", name="ck_evidence_kept_share"),
        sa.CheckConstraint("half_share BETWEEN 0 AND 1", name="ck_evidence_half_share"),
        sa.CheckConstraint("outcome IN ('found', 'miscopied', 'missed')", name="ck_evidence_outcome"),
    )
