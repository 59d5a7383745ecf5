"""RULER's frequent words: coded words whose frequencies fall with the square of their rank; which three lead?

Source: RULER (arXiv 2404.06654, section 3.3); NVIDIA/RULER, scripts/data/synthetic/freq_words_extraction.py, with
alpha 2, words of six letters and a vocabulary of a fiftieth of the length.
Differs from RULER: the order of the words is drawn for every sample (RULER's is one fixed permutation); every
sample is filled separately, as in niah.py, and never beyond the length; a text is never so short
that the third word is as frequent as the fourth.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from random import Random

from ..definitions import Definition
from ..document import Document
from ..request import Documents, Request
from .draws import distinct, sample_rng
from .filling import filled

_INSTRUCTION = (
    "Read the following coded text and track the frequency of each coded word. "
    "Find the three most frequently appeared coded words. "
)
_QUESTION = (
    "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. "
    "What are the three most frequently appeared words in the above coded text?"
)
_ANSWER = "Answer: According to the coded text above, the three most frequently appeared words are:"

_NOISE = "..."
"""Stands for the most frequent word."""

_ZETA_2 = pi**2 / 6
_LETTERS = 6
_FEWEST = 74
"""From here on rank 4, the last asked for, is ahead of rank 5: 74 (1/16 - 1/25) / zeta(2) > 1."""


@dataclass(frozen=True)
class CodedDraft:
    """A sample's vocabulary by rank; units are the words of the text, before counts are rounded down."""

    task: str
    index: int
    vocabulary: Sequence[str]
    shuffle_seed: int
    fewest: int = _FEWEST
    most: None = None
    first_step: int = 200

    def document(self, units: int) -> Document:
        """The sample of that many words."""
        return Document(
            task=self.task,
            index=self.index,
            context=f"{_INSTRUCTION}{self._text(units)}",
            question=_QUESTION,
            answer_prefix=_ANSWER,
            outputs=list(self.vocabulary[1:4]),
            all_classes=[],
        )

    def _text(self, units: int) -> str:
        words: list[str] = []
        for rank, word in enumerate(self.vocabulary, start=1):
            words += [word] * int(units / rank**2 / _ZETA_2)
        Random(self.shuffle_seed).shuffle(words)
        return " ".join(words)


def documents(definition: Definition, request: Request) -> Documents:
    """The task's documents; the first raises UserError with a length that is enough where the length is too short."""

    def drawn(length: int, index: int) -> CodedDraft:
        rng = sample_rng(request.task, length, request.seed, index)
        size = max(length // 50, 4)
        coded = distinct(lambda: "".join(rng.choices(string.ascii_lowercase, k=_LETTERS)), size - 1)
        return CodedDraft(request.task, index, [_NOISE, *coded], rng.getrandbits(64))

    return Documents(filled(definition, request, drawn), "none")
