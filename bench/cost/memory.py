"""The most memory that a block of work takes."""

import ctypes
import gc
from pathlib import Path
from typing import Protocol

import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

_RESET_PEAK = "5"
"""What sets the kernel's peak of a process's resident memory back to what is resident."""


class MemoryMeter(Protocol):
    """Reads memory in use.

    Attributes:
        how: What is read.
    """

    how: str

    def in_use(self) -> int:
        """Bytes in use now, with what nothing refers to given back first."""

    def start(self) -> None:
        """Begin a block of work."""

    def peak(self) -> int:
        """The most bytes in use since `start`."""

    def peak_reserved(self) -> int | None:
        """The most bytes that torch's allocator had taken from the device since `start`; None on a CPU."""


class CudaMemory:
    """As torch's caching allocator counts it."""

    how = "allocated by torch on the device"

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def in_use(self) -> int:
        """See `MemoryMeter`."""
        gc.collect()
        torch.cuda.empty_cache()
        return torch.cuda.memory_allocated(self._device)

    def start(self) -> None:
        """See `MemoryMeter`."""
        torch.cuda.reset_peak_memory_stats(self._device)

    def peak(self) -> int:
        """See `MemoryMeter`."""
        return torch.cuda.max_memory_allocated(self._device)

    def peak_reserved(self) -> int | None:
        """See `MemoryMeter`."""
        return torch.cuda.max_memory_reserved(self._device)


class ResidentMemory:
    """As Linux counts the pages of this process that are in memory."""

    how = "resident set of the process"

    def in_use(self) -> int:
        """See `MemoryMeter`. glibc keeps freed memory unless it is told to give it back."""
        gc.collect()
        if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
            trim(0)
        return _status("VmRSS")

    def start(self) -> None:
        """See `MemoryMeter`."""
        RESET.write_text(_RESET_PEAK)

    def peak(self) -> int:
        """See `MemoryMeter`."""
        return _status("VmHWM")

    def peak_reserved(self) -> int | None:
        """See `MemoryMeter`."""
        return None


def memory_meter(device: torch.device) -> MemoryMeter | None:
    """What reads the memory of work on a device; None where nothing does: on a CPU without Linux's own account."""
    if device.type == "cuda":
        return CudaMemory(device)
    if device.type != "cpu":
        return None
    try:
        meter = ResidentMemory()
        meter.start()
        meter.peak()
    except (OSError, KeyError):
        return None
    return meter


def _status(name: str) -> int:
    """A size in bytes of this process's status."""
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    return 1024 * int(fields[name].split()[0])
