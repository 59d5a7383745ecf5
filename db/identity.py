"""Is this database ours, and at which revision of the schema?

Every database of ours holds one row in a table of its own name, so neither another program's Alembic table
nor tables that happen to be called `run` or `model` can pass for ours.
"""

import re
import sqlite3
from collections.abc import Set
from pathlib import Path
from typing import Literal, NamedTuple

from sqlalchemy import Connection, column, inspect, select, table

from .errors import ForeignDatabaseError, NewerSchemaError, UnreadableError

VERSION_TABLE = "lukv_bench_revision"
"""Where Alembic keeps the revision."""

State = Literal["empty", "older", "current", "without triggers"]

SUMMARY_TRIGGERS = frozenset(
    f"summary_after_{change}"
    for change in (
        *("insert_of_answer", "update_of_answer", "delete_of_answer", "insert_of_timing", "update_of_timing"),
        *("delete_of_timing", "update_of_cell", "update_of_sample", "delete_of_sample", "update_of_run"),
        *("delete_of_run", "update_of_environment", "delete_of_environment"),
        *(f"{change}_of_{table}" for table in ("fidelity", "evidence") for change in ("insert", "update", "delete")),
    )
)
"""What keeps summaries true (see migrations 0005 and 0007). Some programs copy a database without its triggers."""

TRIGGERS = SUMMARY_TRIGGERS | {"cost_alone_on_device"}
"""All triggers of the newest schema; migration 0006 makes the one on measurements."""

_VERSIONS = Path(__file__).parent / "migrations" / "versions"

_TRIGGERS_ON = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D' AND pg_table_is_visible(tgrelid)",
}
"""By the kind of database."""


class Contents(NamedTuple):
    """What a database was seen to hold.

    Attributes:
        columns: (table, column) of every table.
        revision: None where the version table is missing or empty.
        triggers: Names of those that are switched on.
    """

    columns: frozenset[tuple[str, str]]
    revision: str | None
    triggers: frozenset[str] = frozenset()

    @property
    def tables(self) -> frozenset[str]:
        """The names of all tables."""
        return frozenset(owner for owner, _ in self.columns)


def schema_revisions() -> tuple[str, ...]:
    """Every revision of the schema, oldest first, read from the file names: Alembic is slow to import."""
    stems = (path.stem for path in _VERSIONS.glob("v*.py"))
    return tuple(sorted(match[1] for stem in stems if (match := re.match(r"v(\d{4})_", stem))))


def judge(contents: Contents, where: str, taken: Set[str] | None = None) -> State:
    """What we may do with a database. UserError when it is someone else's, or newer than this program.

    `taken` names the tables that may not be there before ours are made; None means any table
    (a file belongs to one program, a server's schema may be shared).
    """
    revisions = schema_revisions()
    if contents.revision == revisions[-1]:
        _check_whole(contents, where)
        return "current" if contents.triggers >= TRIGGERS else "without triggers"
    if contents.revision in revisions:
        return "older"
    if contents.revision is not None:
        raise NewerSchemaError(
            f'"{where}" was written by a newer lukv-bench (schema {contents.revision}, this one knows '
            f"{revisions[-1]}); "
            'type "pip install --upgrade lukv-bench".'
        )
    strangers = contents.tables - {VERSION_TABLE}
    strangers = strangers if taken is None else strangers & taken
    if strangers:
        raise ForeignDatabaseError(
            f'"{where}" is a database of another program (it holds the table "{min(strangers)}"); '
            "name another with --db."
        )
    return "empty"


def _check_whole(contents: Contents, where: str) -> None:
    """UserError where a table or a column of our newest schema is gone."""
    from .schema import Base  # the ORM is not needed for a new file

    ours = [(each.name, own.name) for each in Base.metadata.sorted_tables for own in each.columns]
    for owner, name in ours:
        if (owner, name) not in contents.columns:
            what = f'column "{owner}.{name}"' if owner in contents.tables else f'table "{owner}"'
            raise ForeignDatabaseError(
                f'"{where}" lacks its {what}: another program changed it; restore a copy, or name another with --db.'
            )


def peek_file(path: Path) -> Contents:
    """Look into a SQLite file without changing it or creating anything beside it.

    SQLite makes the WAL's shared memory when it opens such a file, so only a file that has it already is opened
    by the ordinary way (a writer may be at work, its locks count); any other is read as if nothing could
    change it. UserError for a file that is no database.
    """
    live = path.with_name(path.name + "-shm").exists()
    uri = f"{path.as_uri()}?{'mode=ro' if live else 'immutable=1'}"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)
        try:
            return _contents(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UnreadableError(
            f'"{path}" is not a readable SQLite database ({error}); name another file with --db.'
        ) from error


def peek_connection(connection: Connection) -> Contents:
    """Look into the database behind an open connection."""
    tables = inspect(connection).get_multi_columns()
    columns = frozenset((name, str(entry["name"])) for (_, name), entries in tables.items() for entry in entries)
    if VERSION_TABLE not in {name for name, _ in columns}:
        return Contents(columns, None)
    revision = connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    triggers = connection.exec_driver_sql(_TRIGGERS_ON[connection.dialect.name]).scalars()
    return Contents(columns, revision, frozenset(triggers))


def _contents(connection: sqlite3.Connection) -> Contents:
    rows = connection.execute(
        "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c "
        "WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    )
    columns = frozenset((str(owner), str(name)) for owner, name in rows)
    if VERSION_TABLE not in {name for name, _ in columns}:
        return Contents(columns, None)
    row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    triggers = frozenset(str(name) for (name,) in connection.execute(_TRIGGERS_ON["sqlite"]))
    return Contents(columns, None if row is None else str(row[0]), triggers)
