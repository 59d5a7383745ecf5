"""Signals that end a program wait while a transaction begins, writes or ends.

Python raises what a signal's handler raises between any two steps of the main thread. Inside SQLAlchemy that can leave
a connection half returned: it holds the lock until the exception itself is forgotten, so that a run which wants to
record how it ended would wait for itself.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
"""Ctrl-C, and what job schedulers, containers and closed terminals send."""


class Deferral:
    """The signals that came in while they were deferred."""

    def __init__(self) -> None:
        self._handlers = {number: signal.getsignal(number) for number in ENDING}
        self._arrived: list[tuple[int, FrameType | None]] = []

    def begin(self) -> None:
        """Note signals from now on. Those that no Python function handles stay as they are."""
        for number, handler in self._handlers.items():
            if callable(handler):
                signal.signal(number, self._note)

    def end(self) -> None:
        """Handle signals as before from now on, beginning with the first that arrived: its handler may raise."""
        for number, handler in self._handlers.items():
            if callable(handler):
                signal.signal(number, handler)
        self.deliver()

    def deliver(self) -> None:
        """Have the first signal that arrived handled now, where work can be left: its handler may raise."""
        if self._arrived:
            number, frame = self._arrived[0]
            self._arrived.clear()
            handler = self._handlers[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._arrived.append((number, frame))


class _Nothing(Deferral):
    """Outside the main thread, where Python handles no signal."""

    def begin(self) -> None: ...

    def end(self) -> None: ...


@contextmanager
def deferred_signals() -> Iterator[Deferral]:
    """Within the block, signals that end a program are noted; the first of them is handled at its end."""
    deferral = Deferral() if threading.current_thread() is threading.main_thread() else _Nothing()
    deferral.begin()
    try:
        yield deferral
    finally:
        deferral.end()
