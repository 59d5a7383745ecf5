"""What became of an answer that is to be copied from the context: found, miscopied or missed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["found", "miscopied", "missed"]

_WORD_STARTS = re.compile(r"(?<!\w)\S")


@dataclass(frozen=True)
class Copied:
    """What became of the texts that an answer is to repeat.

    Attributes:
        outcome: "found" where all of them stand in the answer, "missed" where fewer than half of the characters of at
            least one are right, else "miscopied".
        n_right_characters: Of all of them, those that are right.
        n_characters: Of all of them.
    """

    outcome: Outcome
    n_right_characters: int
    n_characters: int


def copied(answer: str, texts: Sequence[str]) -> Copied:
    """What became of some texts, none of them empty and at least one, in an answer."""
    right = [n_right_characters(answer, text) for text in texts]
    sizes = [len(text) for text in texts]
    outcome: Outcome = "miscopied"
    if all(text.lower() in answer.lower() for text in texts):
        outcome = "found"
    elif any(2 * n < size for n, size in zip(right, sizes, strict=True)):
        outcome = "missed"
    return Copied(outcome, sum(right), sum(sizes))


def n_right_characters(answer: str, text: str) -> int:
    """How many characters of a text an answer has right, case ignored.

    All of them where it holds the text. Otherwise the text is laid over the answer from the beginning of each of its
    words on, and the characters that are equal at the same place are counted; the best word counts. A character that
    is left out or put in therefore makes those behind it wrong.
    """
    if text.lower() in answer.lower():
        return len(text)
    starts = (match.start() for match in _WORD_STARTS.finditer(answer))
    return max((_n_equal(answer[start : start + len(text)], text) for start in starts), default=0)


def copied_of(document: Mapping[str, Any], answer: str) -> Copied | None:
    """What became of the texts that a document's answer is to repeat; None where it is not to be copied."""
    texts = [text for text in document.get("copied") or () if text]
    return copied(answer, texts) if texts else None


def _n_equal(piece: str, text: str) -> int:
    return sum(a.lower() == b.lower() for a, b in zip(piece, text, strict=False))
