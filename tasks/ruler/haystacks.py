"""RULER's three haystacks: noise lines, essays, and lines that are needles themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Protocol

from .essays import EssayText

DEPTHS = tuple(round(100 * step / 39) / 100 for step in range(40))
"""RULER's 40 depths for essays: whole percents from 0 to 1, both included."""


class Needle(NamedTuple):
    """A sentence to hide, and the share of the haystack before it."""

    text: str
    depth: float


class Haystack(Protocol):
    """Text that can be made to any size; a larger one begins like a smaller one."""

    @property
    def first_step(self) -> int:
        """Units of the first probe, enough to estimate the tokens of one."""

    def depths(self, rng: Random, needles: int) -> list[float]:
        """Where to hide each needle, before the size is known."""

    def text(self, units: int, needles: Sequence[Needle]) -> str:
        """That many units with the needles among them."""


@dataclass(frozen=True)
class Lines:
    """One unit a line: the same noise every time, or a distractor needle."""

    line: Callable[[int], str]
    """The line at that position, for any size."""
    first_step: int = 8

    def depths(self, rng: Random, needles: int) -> list[float]:
        """Uniformly drawn, never after the last line, as in RULER."""
        return [rng.random() for _ in range(needles)]

    def text(self, units: int, needles: Sequence[Needle]) -> str:
        """Every needle on its own line."""
        return "\n".join(_hide(needles, [self.line(position) for position in range(units)]))


@dataclass(frozen=True)
class Essays:
    """One unit a word; needles go between sentences."""

    essays: EssayText
    first_step: int = 200

    def depths(self, rng: Random, needles: int) -> list[float]:
        """Distinct ones of the 40."""
        return rng.sample(DEPTHS, needles)

    def text(self, units: int, needles: Sequence[Needle]) -> str:
        """Running text without line ends."""
        return " ".join(_hide(needles, self.essays.sentences(units)))


def _hide(needles: Sequence[Needle], pieces: Sequence[str]) -> list[str]:
    hidden: list[str] = []
    start = 0
    for needle in sorted(needles, key=lambda needle: needle.depth):
        stop = int(len(pieces) * needle.depth)
        hidden += [*pieces[start:stop], needle.text]
        start = stop
    return hidden + list(pieces[start:])
