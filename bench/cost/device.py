"""Which device a measurement has for itself, and the lock by which it has it."""

import fcntl
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from ... import UserError
from ..record.hashing import content_hash

BOOT = Path("/proc/sys/kernel/random/boot_id")
EVERY_S = 0.5
"""Seconds between two tries for a device that another process measures on."""


@dataclass(frozen=True)
class Device:
    """A device of some machine.

    Attributes:
        name: As the user names it.
        id: A hash that no other device has, whatever a process calls it; a CPU's holds until its machine is restarted.
    """

    name: str
    id: str

    @property
    def lock(self) -> Path:
        """The lock file that all processes of the machine share. It stays, since another process may wait for it."""
        return Path(tempfile.gettempdir()) / f"lukv-bench-cost-{self.id[:16]}.lock"


def device_of(device: torch.device) -> Device:
    """The device behind torch's name for it, which depends on what a process was shown (CUDA_VISIBLE_DEVICES)."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
        if uuid is not None:
            return Device(str(device), content_hash(["cuda", str(uuid)]))
    return Device(str(device), content_hash([str(device), _machine()]))


def _machine() -> str:
    """One machine since its start; all of its containers see the same."""
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


@contextmanager
def alone_on(device: Device, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold a device's lock; the system gives it up with the process.

    Args:
        device: The device.
        waiting: Called again and again while another process holds it, with a sentence that says which.

    Raises:
        UserError: the lock file cannot be made or read.
    """
    try:
        handle = _opened(device.lock)
    except OSError as error:
        raise UserError(
            f"the lock of {device.name}, {device.lock}, cannot be opened ({error.strerror}); set TMPDIR to a folder on "
            "a local disk that all who measure on this machine share."
        ) from error
    try:
        while not _locked(handle):
            waiting(f"waiting for {device.name}: process {_holder(handle)} measures on it")
            time.sleep(EVERY_S)
        _write_holder(handle)
        yield
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    """Another user's file in a shared folder can be locked, but not be made or written."""
    try:
        return os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_holder(handle: int) -> None:
    """For the sentence that others read while they wait; the lock holds without it."""
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR:
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)


def _holder(handle: int) -> str:
    return os.pread(handle, 20, 0).decode(errors="replace") or "?"
