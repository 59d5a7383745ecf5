"""The record, opened for reading alone: for a site that many visitors look at while runs write to the database."""

import os
import threading
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from sqlalchemy import URL, Connection, text

from .database import NO_TRANSACTION, Database, as_store_error
from .errors import StoreError
from .named import check_there
from .opening import prepare
from .urls import sqlite_path


class Reader(Database):
    """Results that cannot be changed through it: SQLite opens the file read-only, PostgreSQL begins such transactions.

    Safe among threads. Methods raise StoreError when the database fails under them, BusyError where another process
    lets nobody read.
    """

    def __init__(self, url: URL) -> None:
        super().__init__(url, read_only=True)
        self._path = sqlite_path(url)
        self._opened = uuid.uuid4().hex[:12]
        self._watch: Connection | None = None
        self._lock = threading.Lock()
        self._frozen = self._stamp() if self._is_immutable() else None

    @classmethod
    def open(cls, url: URL) -> Self:
        """Open the results at a URL of `resolve_url`.

        Raises:
            NoResultsError: there are none yet.
            OlderSchemaError: an older lukv-bench wrote them, and no run has brought them up to date.
            NewerSchemaError: a newer one did.
            ForeignDatabaseError: they are another program's, or it changed them.
            LockedError: another program holds them.
            UnreadableError: they are broken, or their server does not answer.
            UserError: they are where results cannot be read.
        """
        if (path := sqlite_path(url)) is not None:
            check_there(path)
        with ExitStack() as undo:
            reader = cls(url)
            undo.callback(reader.close)
            prepare(reader, create=False)
            undo.pop_all()
            return reader

    def version(self) -> str:
        """A text that is another one after every change of the content, by whichever process; costs well below 1 ms.

        The texts of two readers have nothing in common. StoreError when the file was deleted or replaced in the
        meantime: open the results anew.
        """
        if self._path is None:
            with self.reading() as connection:
                return str(connection.scalar(text("SELECT pg_current_snapshot()::text")))
        if self._frozen is not None:
            self._check_frozen()
            return self._opened
        with as_store_error(self.url), self._lock:
            self._check_file()
            if self._watch is None:
                self._watch = self._engine.connect().execution_options(**NO_TRANSACTION)
            return f"{self._opened}-{self._watch.exec_driver_sql('PRAGMA data_version').scalar()}"

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        super().close()

    def _check_file(self) -> None:
        if self._file is not None:
            self._file.check()

    def _is_immutable(self) -> bool:
        return "immutable" in self._engine.url.query

    def _check_frozen(self) -> None:
        """A file that SQLite was told cannot change is read wrongly after a change, seen through another mount."""
        if self._stamp() != self._frozen:
            raise StoreError(f"The database {self._path} was changed from elsewhere while it was in use.")

    def _stamp(self) -> tuple[int, ...]:
        path = Path(str(self._path))
        try:
            status = os.stat(path)
        except OSError:
            return ()
        is_live = path.with_name(path.name + "-shm").exists()
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size, is_live
