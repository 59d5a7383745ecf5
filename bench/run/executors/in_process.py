"""Answers units in this process, one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ..batching import Batching
from ..unit import Unit, UnitAnswer
from ..worker import Worker
from .base import K, StepReport


@dataclass(frozen=True)
class InProcess:
    """The executor without processes.

    Attributes:
        worker: On the model that the plan was made with.
        batching: How the configurations of a unit decode.
    """

    worker: Worker
    batching: Batching

    def answers(self, units: Iterator[tuple[K, Unit]], report: StepReport[K]) -> Iterator[tuple[K, UnitAnswer]]:
        """As `Executor.answers`; the next unit is taken when the last one is answered."""
        for key, unit in units:
            for answer in self.worker.answers(unit, self.batching, partial(report, key)):
                yield key, answer
