"""The seam between the driver of a run and whatever answers its units."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from ..unit import Unit, UnitAnswer

K = TypeVar("K")
"""Whatever the driver wants to have back with the answers of a unit."""

StepReport = Callable[[K, str], None]
"""Called with (the key of a unit, the step that begins on it)."""


class Executor(Protocol):
    """Answers units, several at a time where it has several workers."""

    def answers(self, units: Iterator[tuple[K, Unit]], report: StepReport[K]) -> Iterator[tuple[K, UnitAnswer]]:
        """The answers of all units as they come, each with the key of its unit; units may finish in any order.

        A unit is taken only when a worker is, or is about to be, free for it: the driver claims and makes it then.

        Args:
            units: (key, unit).
            report: Called before the steps of the work on a unit; an executor may leave some out.

        Raises:
            ModelChanged: a plugin changed the model's weights, and they cannot be read again.
            WorkerError: no worker can be started.
        """
        ...
