"""Reading a SQLite file where nothing may be written: a read-only mount, a folder of someone else.

SQLite reads a database in WAL mode by way of a file of shared memory that it makes beside it. Where it cannot, it can
still read the file as one that nobody changes, which loses nothing as long as no WAL waits to be folded in.
"""

from pathlib import Path

from sqlalchemy import URL

from .. import UserError
from .places import is_changeable, real_path

_WAL_AT = 18
"""The byte of a SQLite file that says how it is to be written: 2 for WAL."""


def readable_url(url: URL, *, only_read: bool = False) -> URL:
    """The URL to connect with: that of a SQLite file that cannot change says so.

    Args:
        url: Of a SQLite file.
        only_read: Ask SQLite for a connection that cannot write.

    Raises:
        UserError: a WAL that cannot be folded in holds some of the results.
    """
    path = real_path(Path(str(url.database)))
    if not path.is_file() or is_changeable(path.parent) or not _is_wal(path):
        return _mode_ro(url, path) if only_read else url
    wal, shared_memory = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
    if shared_memory.exists():
        return (
            _mode_ro(url, path) if only_read else url
        )  # another process may be at work; SQLite reads what that one has made
    if wal.exists() and wal.stat().st_size:
        raise UserError(
            f'"{path}" cannot be read where it is: its newest results are in "{wal.name}", and nothing may be written '
            "beside it; copy both files to a folder of your own and name the copy with --db."
        )
    return url.set(database=path.as_uri(), query={"uri": "true", "immutable": "1"})


def _mode_ro(url: URL, path: Path) -> URL:
    return url.set(database=path.as_uri(), query={"uri": "true", "mode": "ro"})


def _is_wal(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_WAL_AT + 1)[_WAL_AT:] == b"\x02"
    except OSError:
        return False  # SQLite says why it cannot be read
