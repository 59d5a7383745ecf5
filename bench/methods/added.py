"""Floors and ceilings that a run adds beside its methods, at each of its budgets."""

from collections.abc import Sequence
from dataclasses import dataclass

from ... import UserError
from .schedule import DEFAULT_SCHEDULE, ONE_SHOT, Schedule

Pair = tuple[str, str]
"""Allocator and scorer, as typed."""

FLOORS: tuple[Pair, ...] = (("uniform", "streaming_llm"), ("uniform", "random"))
"""What position alone gives (the first tokens and the last ones), and what chance does."""

ORACLE = "oracle"
"""Allocator and scorer of the ceilings."""


@dataclass(frozen=True)
class Added:
    """What is added to the methods that were named.

    Attributes:
        floors: Whether FLOORS are.
        oracles: Whether oracles are: the oracle allocation of the oracle scorer, of every other scorer, and the oracle
            scorer at equal budgets.
    """

    floors: bool = False
    oracles: bool = False

    def pairs(self, scorers: Sequence[str], schedule: Schedule) -> list[Pair]:
        """Those that evict by a schedule; an oracle evicts once, after the whole context.

        Args:
            scorers: As typed.
            schedule: When they evict.
        """
        ceilings: list[Pair] = []
        if self.oracles and schedule == ONE_SHOT:
            ceilings = [(ORACLE, ORACLE), ("uniform", ORACLE), *((ORACLE, scorer) for scorer in scorers)]
        return [*(FLOORS if self.floors else ()), *ceilings]

    def check(self, schedules: Sequence[Schedule]) -> None:
        """Refuse oracles where nothing evicts once.

        Raises:
            UserError: every schedule evicts block by block.
        """
        if self.oracles and schedules and ONE_SHOT not in schedules:
            raise UserError(
                f"--oracles know what a whole context's answer attends to, and --schedule {schedules[0]} evicts before "
                f"the context ends; add {DEFAULT_SCHEDULE} to the schedules, or leave --oracles out."
            )


NOTHING_ADDED = Added()
