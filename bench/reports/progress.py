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

    def report(self, doing: str, done: int, total: int, remaining_s: float | None = None) -> None:
        """`done` of `total` steps of what is being done, and the seconds that the rest takes, where that is known.

        A total of 1 is a stage that cannot be counted.
        """

    def message(self, text: str) -> None:
        """A line that stays; a warning where no progress is shown."""

    def note(self, text: str) -> None:
        """A line that stays, for a reader of progress alone."""


ProgressOption = bool | Callable[[str, int, int], None]
"""True = shown on stderr, False = not shown, or a function called with (stage, steps done, steps in all)."""


class _Lines:
    def __init__(self) -> None:
        self._started = time.monotonic()
        self._last: float | None = None
        self._stage = ""

    def report(self, doing: str, done: int, total: int, remaining_s: float | None = None) -> None:
        now = time.monotonic()
        stage = doing.split(":")[0].split(" sample ")[0]
        new = self._last is None or stage != self._stage
        if not (new or now - (self._last or 0) >= EVERY_S):
            return
        self._last, self._stage = now, stage
        left = "" if remaining_s is None else f" ({duration(remaining_s)} left)"
        self.message(f"[{now - self._started:5.0f}s] {_count(done, total)}{doing}{left}")

    def message(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        self.message(text)


def _count(done: int, total: int) -> str:
    return f"{done}/{total} " if total > 1 else ""


def duration(seconds: float) -> str:
    """Seconds in words, as exact as an estimate is: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


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
    from rich.progress import Task as Steps
    from rich.text import Text

    class _Remaining(TimeRemainingColumn):
        """The seconds left as they were estimated, fewer with each second; without an estimate, rich's own."""

        def render(self, task: Steps) -> Text:
            until = task.fields["until"]
            if until is None:
                return super().render(task)
            return Text(f"{duration(max(until - time.monotonic(), 0))} left", style="progress.remaining")

    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        _Remaining(),
        TextColumn("{task.fields[count]}{task.description}", markup=False),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None, count="", until=None)

        class _Live:
            stage = ""

            def report(self, doing: str, done: int, total: int, remaining_s: float | None = None) -> None:
                stage = doing.split(" sample ")[0]
                if stage != self.stage:
                    bar.reset(task)
                    self.stage = stage
                steps = total if total > 1 else None
                until = None if remaining_s is None else time.monotonic() + remaining_s
                count = _count(done, total)
                text = printable(doing)
                bar.update(task, description=text, completed=done, total=steps, count=count, until=until)

            def message(self, text: str) -> None:
                bar.console.print(printable(text), markup=False, highlight=False)

            def note(self, text: str) -> None:
                self.message(text)

        yield _Live()


class _Silent:
    def report(self, doing: str, done: int, total: int, remaining_s: float | None = None) -> None:
        pass

    def message(self, text: str) -> None:
        warnings.warn(text, RuntimeWarning, stacklevel=2)

    def note(self, text: str) -> None:
        pass


class _Callback(_Silent):
    def __init__(self, function: Callable[[str, int, int], None]) -> None:
        self._function = function

    def report(self, doing: str, done: int, total: int, remaining_s: float | None = None) -> None:
        self._function(doing, done, total)


@contextmanager
def shown_progress(option: ProgressOption) -> Iterator[Progress]:
    """Show progress as a caller of the Python API wants it, until the block ends."""
    if option is True:
        with progress() as shown:
            yield shown
    else:
        yield _Callback(option) if callable(option) else _Silent()
