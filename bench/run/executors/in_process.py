"""Answers units in this process, one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ..unit import Unit, UnitAnswer
from ..worker import Worker
from .base import K, StepReport


@dataclass(frozen=True)
class InProcess:
    """The executor without processes.

    Attributes:
        worker: On the model that the plan was made with.
        batch: The most configurations that decode together.
    """

    worker: Worker
    batch: int

    def answers(self, units: Iterator[tuple[K, Unit]], report: StepReport[K]) -> Iterator[tuple[K, UnitAnswer]]:
        """As `Executor.answers`; the next unit is taken when the last one is answered."""
        for key, unit in units:
            for answer in self.worker.answers(unit, self.batch, partial(report, key)):
                yield key, answer
