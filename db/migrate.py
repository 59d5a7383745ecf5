"""Bring a database to the newest schema, in one transaction that only one process at a time can be in."""

from pathlib import Path

from sqlalchemy import Connection, Engine, delete

from .derived import CellSummary
from .identity import VERSION_TABLE

_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Run the missing migrations; nothing happens to a database that has them all.

    The engine's transactions must take the write lock, and in SQLite leave foreign keys off: a table that a migration
    rebuilds would otherwise take the rows that refer to it along. They are checked before the commit.
    """
    with engine.begin() as connection:
        _run_scripts(connection)
        if connection.dialect.name == "sqlite":
            _check_foreign_keys(connection)


def restore_triggers(engine: Engine) -> None:
    """Make the triggers anew that keep summaries true, and delete the summaries, which changed unseen without them."""
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    from .migrations.versions.v0005_summaries_of_complete_cells import create_triggers
    from .migrations.versions.v0006_measurements_of_cost import create_trigger
    from .migrations.versions.v0007_fidelity_and_evidence import create_triggers as create_measure_triggers

    with engine.begin() as connection:
        connection.execute(delete(CellSummary))
        with Operations.context(MigrationContext.configure(connection)):
            create_triggers()
            create_trigger()
            create_measure_triggers()


def _run_scripts(connection: Connection) -> None:
    from alembic import command  # 0.3 s, and only a new or an old database needs it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["configure"] = {"connection": connection, "version_table": VERSION_TABLE}
    command.upgrade(config, "head")


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise RuntimeError(f"a migration left a row of {broken[0]} without its {broken[2]}; nothing was changed")
