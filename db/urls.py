"""From what the user typed to a database URL, and whether results can be written there."""

import re
from difflib import get_close_matches
from pathlib import Path

import platformdirs
from sqlalchemy import URL, NullPool, create_engine, make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from .. import UserError
from .identity import Contents, judge, peek_connection, peek_file
from .places import check_changeable, check_creatable, check_local, check_regular, real_path, user_folder

KINDS = ("sqlite", "postgresql")
"""The schema and the lock that lets one process write at a time were made for these, and tested with them."""

_TO_INSTALL = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary"}
_SECRET = re.compile("passw|pwd|secret|token", re.IGNORECASE)


def resolve_url(text: str | None) -> URL:
    """The database that `--db TEXT` means; without text, one file under the user's data folder.

    A text with "://" is a SQLAlchemy URL of SQLite or PostgreSQL, any other a SQLite file. File paths become absolute,
    so a later change of folder does not move the database. UserError when the text is neither, or when the driver is
    missing.
    """
    if text is None:
        folder = user_folder(platformdirs.user_data_dir, "lukv-bench", False)
        if folder is None:
            raise UserError("There is no home folder to keep results in; name a file with --db, such as results.db.")
        return _file_url(folder / "results.db")
    if not text.strip():
        raise UserError("The database name is empty; name a file with --db, such as results.db, or leave --db out.")
    if text.strip() == ":memory:":
        text = "sqlite:///:memory:"
    if "://" in text:
        return _url(text)
    if kind := re.match(r"(sqlite|postgres(?:ql)?|mysql|mariadb)(\+\w+)?:", text):
        if kind[1] not in KINDS:
            raise _no_kind(kind[1])
        raise UserError(f'"{kind[0]}" lacks its slashes; write {kind[0]}// in front of the rest, or a plain path.')
    return _file_url(Path(text))


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
    real = real_path(path)
    check_local(real)
    if not real.exists():
        check_creatable(real)
        return
    check_regular(real)
    check_changeable(real)
    judge(peek_file(real), describe(url))


def _file_url(path: Path) -> URL:
    try:
        return URL.create("sqlite", database=str(path.expanduser().absolute()))
    except RuntimeError as error:  # "~nobody/x.db"
        raise UserError(f'"{path}" names a home folder that is not there; write the whole path.') from error


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
        raise _no_kind(url.drivername)
    _check_driver(url)
    return _sqlite_url(url) if url.get_backend_name() == "sqlite" else url


def _no_kind(given: str) -> UserError:
    near = get_close_matches(given, KINDS, n=1)
    hint = f"did you mean {near[0]}://?" if near else "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME."
    return UserError(f'"{given}" is no kind of database that holds results, SQLite and PostgreSQL are; {hint}')


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
        raise UserError("A database in memory would be lost at the end; name a file with --db, such as results.db.")
    if name.startswith("file:"):
        raise UserError(f'"{name}" is a SQLite URI, which is not supported; write the plain path of the file.')
    return url.set(database=_file_url(Path(name)).database)


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
        raise UserError(f"The database {describe(url)} cannot be reached ({reason}); check --db.") from error
    finally:
        engine.dispose()
