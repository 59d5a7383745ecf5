"""Which process is at work: a run's own, and whether another run's is still there."""

import os
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process by its number, which the system gives again once the process has ended.

    Attributes:
        pid: Its number.
        space: Where numbers are unique: one boot of a machine, one container; None where the system does not name it.
        start: When it began, in the kernel's ticks since boot; None where the system does not say.
    """

    pid: int
    space: str | None
    start: int | None


def this_process() -> Process:
    """Without a space only the heartbeat shows whether a process is alive."""
    pid = os.getpid()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return Process(pid, None, None)
    stat = _stat(pid)
    return Process(pid, space, None if stat is None else stat.start)


def is_running(process: Process) -> bool | None:
    """Whether a process is there and is still the same one; None where it cannot be seen from here."""
    if process.space is None or process.space != this_process().space:
        return None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, whose start is readable all the same
        pass
    stat = _stat(process.pid)
    if stat is None:
        return None
    return stat.state != "Z" and process.start in (None, stat.start)


class _Stat(NamedTuple):
    """Attributes: state: one letter; "Z" is killed, and not yet waited for by its parent. start: in ticks."""

    state: str
    start: int


def _stat(pid: int) -> _Stat | None:
    """What Linux says of a process; None for one that it does not show."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()  # the name before may hold anything
        return _Stat(fields[0], int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None
