"""Progress on stderr: a live bar on a terminal, a line now and then anywhere else."""

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from ..errors import printable

EVERY_S = 5.0
"""Seconds between two lines where no bar can be drawn."""


class Progress(Protocol):
    """Shows what is going on."""

    def report(self, doing: str, done: int, total: int) -> None:
        """`done` of `total` steps of what is being done; a total of 1 is a stage that cannot be counted."""

    def message(self, text: str) -> None:
        """A line that stays."""


ProgressOption = bool | Callable[[str, int, int], None]
"""True = shown on stderr, False = not shown, or a function called with (stage, steps done, steps in all)."""


class _Lines:
    def __init__(self) -> None:
        self._started = time.monotonic()
        self._last: float | None = None
        self._stage = ""

    def report(self, doing: str, done: int, total: int) -> None:
        now = time.monotonic()
        stage = doing.split(":")[0].split(" sample ")[0]
        new = self._last is None or stage != self._stage
        if not (new or now - (self._last or 0) >= EVERY_S):
            return
        self._last, self._stage = now, stage
        self.message(f"[{now - self._started:5.0f}s] {_count(done, total)}{doing}")

    def message(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)


def _count(done: int, total: int) -> str:
    return f"{done}/{total} " if total > 1 else ""


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress until the block ends."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[count]}{task.description}", markup=False),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None, count="")

        class _Live:
            stage = ""

            def report(self, doing: str, done: int, total: int) -> None:
                stage = doing.split(" sample ")[0]
                if stage != self.stage:
                    bar.reset(task)
                    self.stage = stage
                steps = total if total > 1 else None
                bar.update(task, description=printable(doing), completed=done, total=steps, count=_count(done, total))

            def message(self, text: str) -> None:
                bar.console.print(printable(text), markup=False, highlight=False)

        yield _Live()


class _Silent:
    def report(self, doing: str, done: int, total: int) -> None:
        pass

    def message(self, text: str) -> None:
        warnings.warn(text, RuntimeWarning, stacklevel=2)


class _Callback(_Silent):
    def __init__(self, function: Callable[[str, int, int], None]) -> None:
        self._function = function

    def report(self, doing: str, done: int, total: int) -> None:
        self._function(doing, done, total)


@contextmanager
def shown_progress(option: ProgressOption) -> Iterator[Progress]:
    """Show progress as a caller of the Python API wants it, until the block ends."""
    if option is True:
        with progress() as shown:
            yield shown
    else:
        yield _Callback(option) if callable(option) else _Silent()
