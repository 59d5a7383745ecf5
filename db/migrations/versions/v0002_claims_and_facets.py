"""What samples know of themselves, and which running process is at work on which answer."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HASH = sa.String(64)
_NAME = sa.String(255)


def upgrade() -> None:
    """Add columns, all of them null in the rows that are there, and the claims."""
    op.add_column("sample", sa.Column("facets", sa.JSON()))
    op.add_column("sample", sa.Column("reference_answers", sa.JSON()))
    op.add_column("run", sa.Column("heartbeat_at", sa.DateTime(timezone=True)))
    op.add_column("run", sa.Column("pid", sa.BigInteger()))
    op.add_column("run", sa.Column("pid_space", _NAME))
    op.create_table(
        "claim",
        sa.Column("cell_id", _HASH, nullable=False),
        sa.Column("sample_id", _HASH, nullable=False),
        sa.Column("run_id", _HASH, nullable=False),
        sa.PrimaryKeyConstraint("cell_id", "sample_id", name="pk_claim"),
        sa.ForeignKeyConstraint(["cell_id"], ["cell.id"], name="fk_claim_cell_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["sample_id"], ["sample.id"], name="fk_claim_sample_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_claim_run_id", ondelete="CASCADE"),
    )
    op.create_index("ix_claim_run_id", "claim", ["run_id"])
