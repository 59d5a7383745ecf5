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

from .. import UserError

VERSION_TABLE = "lukv_bench_revision"
"""Where Alembic keeps the revision."""

State = Literal["empty", "older", "current"]

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


class Contents(NamedTuple):
    """What a database was seen to hold; revision is None where the version table is missing or empty."""

    tables: frozenset[str]
    revision: str | None


def known_revisions() -> tuple[str, ...]:
    """Every revision of the schema, oldest first, read from the file names: Alembic is slow to import."""
    stems = (path.stem for path in _VERSIONS.glob("v*.py"))
    return tuple(sorted(match[1] for stem in stems if (match := re.match(r"v(\d{4})_", stem))))


def judge(contents: Contents, where: str, taken: Set[str] | None = None) -> State:
    """What we may do with a database. UserError when it is someone else's, or newer than this program.

    `taken` names the tables that may not be there before ours are made; None means any table
    (a file belongs to one program, a server's schema may be shared).
    """
    known = known_revisions()
    if contents.revision in known:
        return "current" if contents.revision == known[-1] else "older"
    if contents.revision is not None:
        raise UserError(
            f'"{where}" was written by a newer lukv-bench (schema {contents.revision}, this one knows {known[-1]}); '
            'type "pip install --upgrade lukv-bench".'
        )
    strangers = contents.tables - {VERSION_TABLE}
    strangers = strangers if taken is None else strangers & taken
    if strangers:
        raise UserError(
            f'"{where}" is a database of another program (it holds the table "{min(strangers)}"); '
            "name another with --db."
        )
    return "empty"


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
        raise UserError(
            f'"{path}" is not a readable SQLite database ({error}); name another file with --db.'
        ) from error


def peek_connection(connection: Connection) -> Contents:
    """Look into the database behind an open connection."""
    names = frozenset(inspect(connection).get_table_names())
    if VERSION_TABLE not in names:
        return Contents(names, None)
    return Contents(names, connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE))))


def _contents(connection: sqlite3.Connection) -> Contents:
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    )
    names = frozenset(str(name) for (name,) in rows)
    if VERSION_TABLE not in names:
        return Contents(names, None)
    row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    return Contents(names, None if row is None else str(row[0]))
