"""RULER's common words: a numbered list in which ten words stand more often than the others.

Source: RULER (arXiv 2404.06654, section 3.3); NVIDIA/RULER, scripts/data/synthetic/common_words_extraction.py.
The layout is that of RULER as published; its later code has a space before the worked example's answer.
Differs from RULER: the order of the list is drawn for every sample (RULER's is one fixed permutation); every
sample is filled separately, as in niah.py; a list longer than the words there are is an error.
Differs from lm-eval, which leaves the worked example out of the prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from ..definitions import Definition
from ..document import Document
from ..request import Documents, Request
from .draws import sample_rng
from .filling import filled
from .words import plain_words, words_revision

_INSTRUCTION = (
    "Below is a numbered list of words. In these words, some appear more often than others. "
    "Memorize the ones that appear most often.\n"
)
_QUESTION = "\nQuestion: What are the 10 most common words in the above list?"
_ANSWER = "Answer: The top 10 words that appear most often in the list are:"

_COMMON = 10
_LONG = 4096
"""From this length on, words are repeated as often as in RULER's benchmark; below it, less often."""


class Repeats(NamedTuple):
    """How often a common and any other word stands in a list."""

    common: int
    other: int


@dataclass(frozen=True)
class ListDraft:
    """A sample's words, the common ones first; units are the other words."""

    task: str
    index: int
    example: str
    words: Sequence[str]
    repeats: Repeats
    shuffle_seed: int
    fewest: int = 1
    first_step: int = 16

    @property
    def most(self) -> int:
        """All the words there are."""
        return len(self.words) - _COMMON

    def document(self, units: int) -> Document:
        """The sample with that many other words."""
        listed = numbered_list(self.words[: _COMMON + units], self.repeats, Random(self.shuffle_seed))
        return Document(
            task=self.task,
            index=self.index,
            context=f"{self.example}{_INSTRUCTION}{listed}",
            question=_QUESTION,
            answer_prefix=_ANSWER,
            outputs=list(self.words[:_COMMON]),
            all_classes=[],
        )


def documents(definition: Definition, request: Request) -> Documents:
    """The task's documents; the first raises UserError with a length that is enough where the length is too short."""
    words = plain_words()

    def drawn(length: int, index: int) -> ListDraft:
        rng = sample_rng(request.task, length, request.seed, index)
        in_example, repeats_there, repeats = (
            (20, Repeats(3, 1), Repeats(6, 1)) if length < _LONG else (40, Repeats(10, 3), Repeats(30, 3))
        )
        example = _worked(rng.sample(words, in_example), repeats_there, rng)
        # more words than tokens never fit
        mine = rng.sample(words, min(len(words), length + _COMMON))
        return ListDraft(request.task, index, example, mine, repeats, rng.getrandbits(64))

    return Documents(filled(definition, request, drawn), words_revision(words))


def numbered_list(words: Sequence[str], repeats: Repeats, rng: Random) -> str:
    """RULER's form of a list, "1. word 2. word", the first ten words being the common ones."""
    listed = [*list(words[:_COMMON]) * repeats.common, *list(words[_COMMON:]) * repeats.other]
    rng.shuffle(listed)
    return _numbered(listed)


def _worked(words: Sequence[str], repeats: Repeats, rng: Random) -> str:
    """The example with its answer, and the line end after it; no space before the answer, as published."""
    listed = numbered_list(words, repeats, rng)
    return f"{_INSTRUCTION}{listed}{_QUESTION} {_ANSWER}{_numbered(words[:_COMMON])}\n"


def _numbered(words: Sequence[str]) -> str:
    return " ".join(f"{number}. {word}" for number, word in enumerate(words, start=1))
