"""Turns signals that end a program into interrupts, so that they lose no more than Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ..errors import Interrupted

ENDING = (signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))
"""Signals of job schedulers, containers and closed terminals."""


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Within the block they raise Interrupted, as Ctrl-C raises KeyboardInterrupt; an ignored signal stays ignored."""
    if threading.current_thread() is not threading.main_thread():  # Python handles signals only there
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    heeded = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in heeded:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(exit_code=128 + number)
