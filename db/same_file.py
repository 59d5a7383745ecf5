"""Is a SQLite database still the file that was opened?

A process can keep writing to a file that was deleted, moved or replaced without an error: what it writes is lost
when it ends.
"""

import os
from pathlib import Path

from .errors import StoreError


class SameFile:
    """The file at a path, known by its device and inode from the first look on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first: tuple[int, int] | None = None

    def remember(self) -> None:
        """Take what is there now for the file, unless one is known."""
        self._first = self._first or self._now()

    def check(self) -> None:
        """StoreError when the path leads to another file by now, or to none."""
        if self._first is not None and self._now() != self._first:
            raise StoreError(
                f"The database {self._path} was deleted, moved or replaced while it was in use; nothing that was "
                "written since then is in it."
            )

    def _now(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_dev, status.st_ino
