"""Time of work on a device."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def now(*devices: torch.device) -> float:
    """The time in seconds, read when all work queued on the devices is done."""
    for device in devices:
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
    return time.perf_counter()


class Laps:
    """Seconds of one kind of work, added up over the blocks in which it is done.

    On CUDA a block lasts from one event on the device's current stream to another: nothing waits for the device until
    the seconds are asked for, so that measuring does not slow the work down. Elsewhere it is wall time, with the
    device's queue empty at both ends.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._open: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def lap(self, device: torch.device) -> Iterator[None]:
        """Add the block's work on a device; it counts also where it raises."""
        if not _has_events(device):
            began = now(device)
            try:
                yield
            finally:
                self._seconds += now(device) - began
            return
        began_at = mark(device)
        try:
            yield
        finally:
            self._open.append((began_at, mark(device)))

    @property
    def seconds(self) -> float:
        """Of all blocks so far."""
        for began, ended in self._open:
            ended.synchronize()
            self._seconds += began.elapsed_time(ended) / 1000
        self._open.clear()
        return self._seconds


def _has_events(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_available()


def mark(device: torch.device) -> torch.cuda.Event:
    """An event behind all work that is queued on a CUDA device's current stream."""
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event


class Marks:
    """Moments in the work of one device, and the seconds between them.

    They are taken like the ends of a block of `Laps`.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._events: list[torch.cuda.Event] = []
        self._times: list[float] = []

    def add(self) -> None:
        """Mark the present moment."""
        if _has_events(self._device):
            self._events.append(mark(self._device))
        else:
            self._times.append(now(self._device))

    def intervals(self) -> list[float]:
        """Seconds from each moment to the next."""
        if not _has_events(self._device):
            return [after - before for before, after in zip(self._times, self._times[1:], strict=False)]
        for event in self._events[-1:]:
            event.synchronize()
        pairs = zip(self._events, self._events[1:], strict=False)
        return [before.elapsed_time(after) / 1000 for before, after in pairs]
