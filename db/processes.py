"""Which process is at work: a run's own, and whether another run's is still there."""

import os
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process by its number, and the space in which numbers are unique: one boot of a machine, one container."""

    pid: int
    pid_space: str | None


def this_process() -> Process:
    """The space is None where the system does not name it; then only a heartbeat tells who is alive."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return Process(os.getpid(), f"{boot} {os.readlink('/proc/self/ns/pid')}")
    except OSError:
        return Process(os.getpid(), None)


def has_ended(process: Process) -> bool:
    """Whether a process is certainly gone; False for one that cannot be seen from here."""
    if process.pid_space is None or process.pid_space != this_process().pid_space:
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's
        return False
    return _is_zombie(process.pid)


def _is_zombie(pid: int) -> bool:
    """Killed, and not yet waited for by its parent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[:1] == ["Z"]
