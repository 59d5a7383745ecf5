"""When the process of a run began: its number alone may be another process's by now."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column, null in the rows that are there."""
    op.add_column("run", sa.Column("pid_start", sa.BigInteger()))
