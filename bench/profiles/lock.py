"""A lock file, so that one process at a time makes a profile. The system releases the lock of a process that dies."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ... import UserError

EVERY_S = 0.5
"""Seconds between two tries for a lock that another process holds."""


@contextmanager
def only_process(path: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock file, which exists only while it is held.

    Args:
        path: The lock file; its folder is made.
        waiting: Called repeatedly with the id of the process that holds it.

    Raises:
        UserError: the folder cannot be written to, or its file system has no locks.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _acquire(path, waiting)
    except OSError as error:
        raise UserError(
            f"cannot lock {path} ({error}); set LUKV_BENCH_CACHE to a folder on a local disk that can be written."
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _acquire(path: Path, waiting: Callable[[str], None]) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, path):  # its last holder may have unlinked it between the two calls
                os.ftruncate(handle, 0)
                os.write(handle, str(os.getpid()).encode())
                return handle
            os.close(handle)
        except BlockingIOError:
            holder = os.read(handle, 20).decode(errors="replace") or "?"
            os.close(handle)
            waiting(holder)
            time.sleep(EVERY_S)
        except BaseException:
            os.close(handle)
            raise


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
