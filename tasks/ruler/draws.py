"""Random keys and values of one sample, none of them drawn twice."""

import hashlib
import uuid
from collections.abc import Callable
from random import Random
from typing import TypeVar

from ... import UserError
from .words import word_lists

Draw = Callable[[Random], str]

_TRIES = 1000


def sample_rng(task: str, length: int, seed: int, index: int) -> Random:
    """A random generator for one sample, independent of other samples and of their order."""
    identity = f"{task}/{length}/{seed}/{index}"
    return Random(hashlib.sha256(identity.encode()).digest())


def number(rng: Random) -> str:
    """Seven digits, the first not 0."""
    return str(rng.randint(1_000_000, 9_999_999))


def uuid4(rng: Random) -> str:
    """A random UUID in its usual form."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def word(rng: Random) -> str:
    """An "adjective-noun"."""
    return word_lists().key(rng)


DRAWS: dict[str, Draw] = {"numbers": number, "uuids": uuid4, "words": word}
"""By RULER's names, which the needle sentence uses too."""


T = TypeVar("T")


def distinct(draw: Callable[[], T], count: int) -> list[T]:
    """That many different draws, in the order they came; the space of draws has to be far larger."""
    draws: dict[T, None] = {}
    while len(draws) < count:
        draws[draw()] = None
    return list(draws)


class Fresh:
    """Draws what this sample has not drawn before, case ignored as in scoring.

    Differs from RULER, which lets keys and values repeat, so that an answer may be ambiguous.
    """

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self._drawn: set[str] = set()

    def __call__(self, kind: str) -> str:
        """A new text of that kind."""
        for _ in range(_TRIES):
            text = DRAWS[kind](self.rng)
            if text.lower() not in self._drawn:
                self._drawn.add(text.lower())
                return text
        raise UserError(f"There are not enough different {kind} for a sample of this length.")
