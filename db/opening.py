"""What comes before the first transaction: is there a database, is it ours, is it of this schema?"""

from sqlalchemy import URL

from .. import UserError
from .database import Database, as_store_error, compact, make_engine, turn_wal_on, writing_engine
from .errors import (
    BusyError,
    ForeignDatabaseError,
    LockedError,
    NoResultsError,
    OlderSchemaError,
    StoreError,
    UnreadableError,
)
from .identity import State, judge, peek_connection
from .migrate import restore_triggers, upgrade
from .named import nothing_yet
from .places import real_path
from .schema import Base
from .urls import describe, sqlite_path


def make_place(url: URL) -> None:
    """Create the folders above a SQLite file. UserError when that fails after all."""
    path = sqlite_path(url)
    try:
        if path is not None:
            real_path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'"{path}" cannot be created ({error.strerror}); name another file with --db.') from error


def prepare(database: Database, *, create: bool) -> None:
    """Bring a database to our newest schema, or, without `create`, insist that it is there already (UserError)."""
    try:
        state = _state(database)
        if create and state != "current":
            _migrate(database.url)
            if _state(database) != "current":
                _restore_triggers(database.url)
            return
    except StoreError as error:
        kind = LockedError if isinstance(error, BusyError) else UnreadableError
        raise kind(f"{error} Name another with --db.") from error
    if state == "empty":
        raise NoResultsError(nothing_yet(describe(database.url)))
    if state == "older":
        raise OlderSchemaError(
            f'"{describe(database.url)}" was written by an older lukv-bench; '
            'the next "lukv-bench run" that writes to it brings it up to date.'
        )
    if state == "without triggers":
        raise ForeignDatabaseError(
            f'"{describe(database.url)}" was copied by a program that left its triggers out, so that its summaries may '
            'not fit its answers; the next "lukv-bench run" that writes to it makes both again.'
        )


def _state(database: Database) -> State:
    is_file = sqlite_path(database.url) is not None
    with database.reading() as connection:
        contents = peek_connection(connection)
    return judge(contents, describe(database.url), taken=None if is_file else frozenset(Base.metadata.tables))


def _restore_triggers(url: URL) -> None:
    engine = make_engine(url, pooled=False)
    with as_store_error(url):
        restore_triggers(writing_engine(engine))


def _migrate(url: URL) -> None:
    """Through an engine of its own, since SQLite switches foreign keys off for whole connections only."""
    engine = make_engine(url, foreign_keys=False, pooled=False)
    with as_store_error(url):
        if engine.dialect.name == "sqlite":
            turn_wal_on(engine)
        upgrade(writing_engine(engine))
        if engine.dialect.name == "sqlite":
            compact(engine)
