"""Connections and transactions: a database that several processes write and read at once."""

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from .errors import BusyError, StoreError
from .interruption import Deferral, deferred_signals
from .read_only import readable_url
from .same_file import SameFile
from .urls import describe, sqlite_path

BUSY_S = 30.0
"""Seconds that a writing transaction waits for another process before it gives up, or asks whether to keep waiting."""

READER_BUSY_S = 5.0
"""Seconds that whoever only reads waits for another process; a visitor of a site would not wait longer."""

LONGEST_WAIT_S = 600.0
"""Seconds after which waiting ends: whoever holds the lock is stuck."""

_TRANSACTION = "lukv_transaction"
"""An execution option: "write" takes the lock, "none" begins nothing, and without it a transaction reads."""

NO_TRANSACTION = {_TRANSACTION: "none"}
"""Execution options of a connection that begins none."""

SERVER_POOL = {"pool_size": 2, "max_overflow": 3, "pool_timeout": BUSY_S, "pool_pre_ping": True, "pool_recycle": 1800}
"""A run uses two connections, its own and its heartbeat's. One that the server closed in between is replaced."""

SERVER_WAITS = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""libpq's parameters, in seconds: a server that went away without a word is noticed within a minute."""

_POSTGRESQL_LOCK = 0x4C554B56
"""The advisory lock that stands for SQLite's one writer: "LUKV"."""


class Database:
    """One database, with a transaction for reading and one for writing. Safe among threads, not over a fork.

    Left to itself, two processes that read and then write lose updates without an error, in SQLite by SQLAlchemy's
    late BEGIN and in PostgreSQL by its usual isolation. So a writing transaction takes a lock at its start, and a
    reading one takes none.

    On a server a writing transaction is READ COMMITTED, whatever the server's default: behind the lock each statement
    sees what is committed, and no one else commits. Under REPEATABLE READ it would see the state from before it waited
    for the lock. A reading transaction is REPEATABLE READ and read-only: one state for all of its statements.
    """

    def __init__(self, url: URL, *, read_only: bool = False) -> None:
        self.url = url
        self._engine = make_engine(url, read_only=read_only)
        self._reader = _reading_engine(self._engine)
        self._writer = writing_engine(self._engine)
        self._wal_on = url.get_backend_name() != "sqlite"
        self._file = _watched(self._engine, url)
        self.on_lock: Callable[[float], None] | None = None
        """Where it is set, a writing transaction waits up to LONGEST_WAIT_S, and calls it every BUSY_S with the seconds
        waited so far."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout. StoreError when the database fails."""
        with as_store_error(self.url), ExitStack() as transaction:
            with deferred_signals():
                connection = transaction.enter_context(_whole(self._reader.begin()))
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may read and then write; committed at its end, undone by any exception.

        There is one writer at a time: keep it short, and never open one inside another.
        StoreError when the database fails, stays locked, or is no more the file that was opened.
        """
        with as_store_error(self.url), deferred_signals() as deferral:
            self._turn_wal_on()
            with ExitStack() as transaction:
                connection = self._begin(transaction, deferral)
                if self._file is not None:
                    self._file.check()
                yield connection

    def _begin(self, transaction: ExitStack, deferral: Deferral) -> Connection:
        """Take the lock; whoever writes much is asked for patience where another process holds it for long."""
        started = time.monotonic()
        while True:
            try:
                return transaction.enter_context(self._writer.begin())
            except OperationalError as error:
                waited = time.monotonic() - started
                if not _is_busy(error) or self.on_lock is None or waited > LONGEST_WAIT_S:
                    raise
                deferral.deliver()
                self.on_lock(waited)

    def close(self) -> None:
        """Close every connection; the last process to do so leaves one file that can be read anywhere."""
        with deferred_signals():
            self._engine.dispose()
            if self._file is not None and self._wal_on:
                turn_wal_off(self._engine)
                self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _turn_wal_on(self) -> None:
        """Let readers and a writer work side by side, from the first write on: a published file is DELETE mode."""
        if not self._wal_on:
            turn_wal_on(self._engine)
            self._wal_on = True


@contextmanager
def _whole(transaction: AbstractContextManager[Connection]) -> Iterator[Connection]:
    """A transaction whose end no signal interrupts; its body may be long, and is interrupted."""
    with ExitStack() as stack:
        connection = stack.enter_context(transaction)
        try:
            yield connection
        except BaseException:
            with deferred_signals():
                stack.__exit__(*sys.exc_info())
            raise
        else:
            with deferred_signals():
                stack.close()


def make_engine(url: URL, *, foreign_keys: bool = True, pooled: bool = True, read_only: bool = False) -> Engine:
    """An engine with our transactions. JSON with NaN in it is refused: no other reader would take it.

    Through one that is `read_only` the database itself refuses every change.
    """
    settings: dict[str, Any] = {"json_serializer": _dump_json}
    if not pooled:
        settings["poolclass"] = NullPool
    if url.get_backend_name() != "sqlite":
        engine = create_engine(url, connect_args=_server_waits(url), **(SERVER_POOL if pooled else {}), **settings)
        event.listen(engine, "begin", _begin_on_server)
        return _read_only_server(engine) if read_only else engine
    timeout = READER_BUSY_S if read_only else BUSY_S
    place = readable_url(url, only_read=read_only)
    engine = create_engine(place, connect_args={"timeout": timeout, "isolation_level": None}, **settings)
    event.listen(engine, "begin", _begin_on_file)
    if foreign_keys:
        event.listen(engine, "connect", _turn_foreign_keys_on)
    if read_only:
        event.listen(engine, "connect", _turn_changes_off)
    return engine


def _server_waits(url: URL) -> dict[str, int]:
    """Those that the URL does not name itself; other drivers have parameters of their own."""
    if url.get_driver_name() not in ("psycopg", "psycopg2"):
        return {}
    return {name: value for name, value in SERVER_WAITS.items() if name not in url.query}


def _watched(engine: Engine, url: URL) -> SameFile | None:
    """A SQLite engine's file: what its first connection opens. No later one makes it anew where it was deleted."""
    path = sqlite_path(url)
    if path is None:
        return None
    file = SameFile(path)
    event.listen(engine, "do_connect", lambda *_: file.check())
    event.listen(engine, "connect", lambda *_: file.remember())
    return file


def writing_engine(engine: Engine) -> Engine:
    """The same engine and pool, whose transactions take the write lock at their start."""
    isolation = {"isolation_level": "READ COMMITTED"} if engine.dialect.name == "postgresql" else {}
    return engine.execution_options(**{_TRANSACTION: "write"}, **isolation)


def _reading_engine(engine: Engine) -> Engine:
    """The same engine and pool, whose transactions see one state of the database; SQLite's do so anyway."""
    return _read_only_server(engine) if engine.dialect.name == "postgresql" else engine


def _read_only_server(engine: Engine) -> Engine:
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def turn_wal_on(engine: Engine) -> None:
    """Set SQLite's WAL mode, outside any transaction. The change itself does not wait for locks, so we do."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            with engine.connect().execution_options(**NO_TRANSACTION) as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            return
        except OperationalError as error:
            if not _is_busy(error) or time.monotonic() > until:
                raise
        time.sleep(0.05)


def turn_wal_off(engine: Engine) -> None:
    """Fold SQLite's WAL in and go without, unless another process has the database open: that one does it later.

    A file in WAL mode could not be read on a read-only mount. A database that broke or went away stays as it is.
    """
    with (
        suppress(DatabaseError, StoreError),
        engine.connect().execution_options(**NO_TRANSACTION) as connection,
    ):
        connection.exec_driver_sql("PRAGMA busy_timeout=0")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")  # enough where a reader stays: the file is whole
        connection.exec_driver_sql("PRAGMA journal_mode=DELETE")


def compact(engine: Engine) -> None:
    """Give the room of rows that are gone back to the disk.

    Where another process is at work or the disk is full, the file stays as long as it is.
    """
    with (
        suppress(DatabaseError),
        engine.connect().execution_options(**NO_TRANSACTION) as connection,
    ):
        connection.exec_driver_sql("PRAGMA busy_timeout=0")
        connection.exec_driver_sql("VACUUM")


def _is_busy(error: OperationalError) -> bool:
    """Whether another process holds the lock: SQLite's code (its low byte), PostgreSQL's lock_not_available."""
    if getattr(error.orig, "sqlstate", getattr(error.orig, "pgcode", None)) == "55P03":
        return True
    code = getattr(error.orig, "sqlite_errorcode", 0)
    return bool(code & 0xFF == sqlite3.SQLITE_BUSY)


def _begin_on_file(connection: Connection) -> None:
    kind = connection.get_execution_options().get(_TRANSACTION)
    if kind != "none":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if kind == "write" else "BEGIN")


def _begin_on_server(connection: Connection) -> None:
    if connection.dialect.name == "postgresql" and connection.get_execution_options().get(_TRANSACTION) == "write":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_S:.0f}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRESQL_LOCK})")


def _turn_foreign_keys_on(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.cursor().execute("PRAGMA foreign_keys=ON")


def _turn_changes_off(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.cursor().execute("PRAGMA query_only=ON")


def _dump_json(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


@contextmanager
def as_store_error(url: URL) -> Iterator[None]:
    """Name the database in its failures; a broken constraint or a wrong statement is a bug, and stays as it is."""
    try:
        yield
    except DatabaseError as error:
        if type(error) not in (DatabaseError, OperationalError):
            raise
        kind = BusyError if isinstance(error, OperationalError) and _is_busy(error) else StoreError
        reason = (str(error.orig).strip() or type(error.orig).__name__).splitlines()[0]
        raise kind(f"The database {describe(url)} failed: {reason}.") from error
