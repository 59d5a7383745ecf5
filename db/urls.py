"""From what the user typed to a database URL, and whether results can be written there."""

import re
from pathlib import Path

from sqlalchemy import URL, NullPool, create_engine, make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from .. import UserError
from .errors import UnreadableError
from .identity import Contents, judge, peek_connection, peek_file
from .named import KINDS, absolute, check_usable, in_memory, named_file, no_kind

_TO_INSTALL = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary"}
_SECRET = re.compile("passw|pwd|secret|token", re.IGNORECASE)


def resolve_url(text: str | None) -> URL:
    """The database that `--db TEXT` means; without text, one file under the user's data folder.

    A text with "://" is a SQLAlchemy URL of SQLite or PostgreSQL, any other a SQLite file. File paths become absolute,
    so a later change of folder does not move the database. UserError when the text is neither, or when the driver is
    missing.
    """
    path = named_file(text)
    return _url(str(text)) if path is None else URL.create("sqlite", database=str(path))


def sqlite_path(url: URL) -> Path | None:
    """The file of a SQLite database; None for any other."""
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def describe(url: URL) -> str:
    """A database in words for messages: its file, or its URL without passwords, those among its options included."""
    return str(sqlite_path(url) or _hidden(url))


def _hidden(url: URL) -> str:
    secrets = {name: "***" for name in url.query if _SECRET.search(name)}
    return url.update_query_dict(secrets).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


def check_writable(url: URL) -> None:
    """UserError unless results can be stored there; looks only, creates and changes nothing.

    A SQLite file must be missing with room to create it, or be a database of ours, on a local disk, and writable.
    A server must answer and hold either our tables or none of their names.
    """
    path = sqlite_path(url)
    if path is None:
        _check_server(url)
        return
    real = check_usable(path)
    if real is not None:
        judge(peek_file(real), describe(url))


def _url(text: str) -> URL:
    kind = text.partition("://")[0]
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:  # the text may hold a password: only its kind is repeated
        raise UserError(
            f'The database URL "{kind}://..." cannot be read; write sqlite:///FILE or '
            "postgresql://USER:PASSWORD@HOST/NAME."
        ) from error
    if url.get_backend_name() not in KINDS:
        raise no_kind(url.drivername)
    _check_driver(url)
    return _sqlite_url(url) if url.get_backend_name() == "sqlite" else url


def _check_driver(url: URL) -> None:
    dialect = _dialect(url)
    if dialect.is_async:
        raise UserError(f'"{url.drivername}" is an asynchronous driver; write {url.get_backend_name()}:// instead.')
    try:
        dialect.import_dbapi()
    except ImportError as error:
        package = _TO_INSTALL.get(dialect.driver, dialect.driver)
        raise UserError(
            f'"{url.drivername}" needs a driver that is not installed; type "pip install \'{package}\'".'
        ) from error


def _dialect(url: URL) -> type[Dialect]:
    try:
        return url.get_dialect()
    except (NoSuchModuleError, ArgumentError) as error:
        raise UserError(
            f'"{url.drivername}" is no driver that SQLAlchemy knows here; write {url.get_backend_name()}:// alone.'
        ) from error


def _sqlite_url(url: URL) -> URL:
    name = url.database or ""
    if url.host or url.username:
        raise UserError(
            f'"{_hidden(url)}" lacks a slash; write sqlite:///results.db for a file in this folder '
            "or sqlite:////folder/results.db."
        )
    if name in ("", ":memory:") or url.query.get("mode") == "memory":
        raise in_memory()
    if name.startswith("file:"):
        raise UserError(f'"{name}" is a SQLite URI, which is not supported; write the plain path of the file.')
    return url.set(database=str(absolute(Path(name))))


def _check_server(url: URL) -> None:
    from .schema import Base  # the ORM is not needed for a file, the common case

    contents = _peek_server(url)
    judge(contents, describe(url), taken=frozenset(Base.metadata.tables))


def _peek_server(url: URL) -> Contents:
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return peek_connection(connection)
    except SQLAlchemyError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise UnreadableError(f"The database {describe(url)} cannot be reached ({reason}); check --db.") from error
    finally:
        engine.dispose()
