"""Schedules: when a context is evicted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ... import UserError

DEFAULT_SCHEDULE = "one-shot"
LARGEST_BLOCK = 2**31 - 1


@dataclass(frozen=True)
class Schedule:
    """When a context is evicted.

    Attributes:
        block: Tokens that are fed before each eviction; None = once, after the whole context.
    """

    block: int | None = None

    def __str__(self) -> str:
        """As typed and as recorded."""
        return DEFAULT_SCHEDULE if self.block is None else f"block:{self.block}"


ONE_SHOT = Schedule()


def parse_schedule(text: str) -> Schedule:
    """The schedule of a text.

    Raises:
        UserError: it is none, or its blocks have no tokens.
    """
    if text == DEFAULT_SCHEDULE:
        return ONE_SHOT
    number = re.fullmatch("block:([0-9]{1,10})", text)
    if number is None or not 1 <= int(number[1]) <= LARGEST_BLOCK:
        raise UserError(
            f"--schedule is {DEFAULT_SCHEDULE} or blocks of at least 1 token such as block:128, not {text!r}."
        )
    return Schedule(int(number[1]))


def parse_schedules(texts: Sequence[str]) -> list[Schedule]:
    """Schedules, each once, in order. Raises as `parse_schedule`."""
    return list(dict.fromkeys(map(parse_schedule, texts)))
