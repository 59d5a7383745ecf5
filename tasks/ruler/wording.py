"""RULER's sentences for needles, with its singular and plural.

Source: NVIDIA/RULER, scripts/data/synthetic/{constants,niah}.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."


def needle_sentence(kind: str, key: str, value: str) -> str:
    """The sentence to be found; `kind` in the plural, as "numbers"."""
    return f"One of the special magic {kind} for {key} is: {value}."


@dataclass(frozen=True)
class Wording:
    """The texts around the haystack."""

    instruction: str
    question: str
    answer_prefix: str


def wording(kind: str, keys: Sequence[str], answers: int) -> Wording:
    """Asks for the `answers` values of these keys; the singular is for one answer alone."""
    names = listed(keys)
    if answers == 1:
        one = kind.removesuffix("s")
        return Wording(
            f"A special magic {one} is hidden within the following text. "
            f"Make sure to memorize it. I will quiz you about the {one} afterwards.",
            f"What is the special magic {one} for {names} mentioned in the provided text?",
            f"The special magic {one} for {names} mentioned in the provided text is",
        )
    return Wording(
        f"Some special magic {kind} are hidden within the following text. "
        f"Make sure to memorize it. I will quiz you about the {kind} afterwards.",
        f"What are all the special magic {kind} for {names} mentioned in the provided text?",
        f"The special magic {kind} for {names} mentioned in the provided text are",
    )


def listed(keys: Sequence[str]) -> str:
    """RULER's enumeration: "a", or "a, and b", or "a, b, and c"."""
    *others, last = keys
    return f"{', '.join(others)}, and {last}" if others else last
