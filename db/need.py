"""What a method is wanted for: a model, a context length, a memory and a quality, checked."""

import re
from dataclasses import dataclass
from fractions import Fraction

from .. import UserError

MOST_SAMPLES = 10**6
"""Upper limit for one task in a run: more than any data set has."""

_UNITS = {"": 2**30, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10}


@dataclass(frozen=True)
class Need:
    """What a method is wanted for.

    Attributes:
        model: As it is typed.
        n_tokens: Of the context.
        memory_bytes: For the keys and values that one sequence keeps.
        share: Of the full cache's score to keep, 0 < share <= 1.
        db: As it is typed, for the command that is recommended.
    """

    model: str
    n_tokens: int
    memory_bytes: int
    share: float
    db: str | None = None


def memory_bytes(option: str, text: str) -> int:
    """The bytes of a size such as "2GiB" or "512 MiB"; a number alone is GiB.

    Args:
        option: What the text was typed for, as messages name it.
        text: The size.

    Raises:
        UserError: it is none, less than a byte, or more than any machine has.
    """
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ?([A-Za-z]*)", text.strip(), re.ASCII)
    if found is None or found[2] not in _UNITS:
        raise UserError(f"{option} takes a size in GiB, MiB or KiB such as 2GiB, not {text!r}.")
    size = int(Fraction(found[1]) * _UNITS[found[2]])
    if not 0 < size < 2**60:
        raise UserError(f"{option} takes a size above 0 such as 2GiB, and less than 2**30 GiB, not {text!r}.")
    return size


def percent(option: str, text: str) -> Fraction:
    """The share that a text such as "98%" stands for, above 0 and at most 1; the sign may be left out.

    Args:
        option: What the text was typed for, as messages name it.
        text: The percentage.

    Raises:
        UserError: it is no such percentage; 1 or less without a sign may be meant as a share, and is refused.
    """
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,12})?) ?(%?)", text.strip(), re.ASCII)
    if found is None or not 0 < Fraction(found[1]) <= 100 or (not found[2] and Fraction(found[1]) <= 1):
        raise UserError(
            f"{option} takes percent of the full cache's score, above 0 and at most 100, such as 98%, not {text!r}."
        )
    return Fraction(found[1]) / 100
