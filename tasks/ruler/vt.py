"""RULER's variable tracking: a chain of assignments hidden in noise; which variables hold its value?

Source: RULER (arXiv 2404.06654, section 3.2); NVIDIA/RULER, scripts/data/synthetic/variable_tracking.py, with the
one chain of four hops and the worked example of its benchmark.
The layout is that of RULER as published, which lm-eval's copy and kvpress's data set share; its later code puts
every statement on a line of its own.
Differs from RULER: names and values never repeat within a sample; the worked example is drawn anew for every
sample and has ten lines of noise with every tokenizer (RULER: one example, sized to 500 tokens in steps of five
lines, of which only the names are drawn anew); every sample is filled separately, as in niah.py.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from ..definitions import Definition
from ..evidence import EvidenceDocument, assignment_spans
from ..request import Documents, Request
from .draws import distinct, sample_rng
from .filling import filled
from .wording import NOISE

_INSTRUCTION = "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n"
_QUESTION = "\nQuestion: Find all variables that are assigned the value {value} in the text above."
_ANSWER = (
    "Answer: According to the chain(s) of variable assignment in the text above, "
    "{count} variables are assgined the value {value}, they are:"
)
"""The spelling is RULER's."""

_HOPS = 4
_EXAMPLE_LINES = 10


@dataclass(frozen=True)
class Chain:
    """Variables that all hold one value, and where the statements stand."""

    value: int
    variables: tuple[str, ...]
    depths: tuple[float, ...]
    """In order, one for each statement."""

    @classmethod
    def drawn(cls, rng: Random, value: int, letters: int) -> "Chain":
        """A chain of four hops over names of that many letters."""
        names = distinct(lambda: "".join(rng.choices(string.ascii_uppercase, k=letters)), _HOPS + 1)
        return cls(value, tuple(names), tuple(sorted(rng.random() for _ in names)))

    @property
    def statements(self) -> tuple[str, ...]:
        """RULER's spelling, with its space after a reference to another variable."""
        first, *others = self.variables
        hops = (f"VAR {new} = VAR {old} " for old, new in zip(self.variables, others, strict=False))
        return (f"VAR {first} = {self.value}", *hops)

    def text(self, lines: int) -> str:
        """The statements between that many lines of noise, at least one line apart."""
        pieces = [f"{NOISE}\n"] * lines
        spare = lines - len(self.statements)
        for place, (statement, depth) in enumerate(zip(self.statements, self.depths, strict=True)):
            # `place` lines of the spread keep them apart, `place` statements were put in already
            pieces.insert(int((spare + 1) * depth) + 2 * place, statement)
        return " ".join(pieces)


@dataclass(frozen=True)
class ChainDraft:
    """A sample's chain and its worked example; units are lines of noise."""

    task: str
    index: int
    example: str
    chain: Chain
    fewest: int = _HOPS + 1
    most: None = None
    first_step: int = 8

    def document(self, units: int) -> EvidenceDocument:
        """The sample with that many lines."""
        context = f"{self.example}{_INSTRUCTION}{self.chain.text(units)}"
        return EvidenceDocument(
            task=self.task,
            index=self.index,
            context=context,
            question=_QUESTION.format(value=self.chain.value),
            answer_prefix=_ANSWER.format(count=_HOPS + 1, value=self.chain.value),
            outputs=list(self.chain.variables),
            all_classes=[],
            evidence=assignment_spans(context, self.chain.variables),
            copied=list(self.chain.variables),
        )


def documents(definition: Definition, request: Request) -> Documents:
    """The task's documents; the first raises UserError with a length that is enough where the length is too short."""

    def drawn(length: int, index: int) -> ChainDraft:
        rng = sample_rng(request.task, length, request.seed, index)
        example, value = distinct(lambda: rng.randint(10_000, 99_999), 2)
        return ChainDraft(request.task, index, _worked(Chain.drawn(rng, example, 3)), Chain.drawn(rng, value, 5))

    return Documents(filled(definition, request, drawn), "none")


def _worked(chain: Chain) -> str:
    """The example with its answer, and the empty lines after it."""
    answer = _ANSWER.format(count=_HOPS + 1, value=chain.value)
    question = _QUESTION.format(value=chain.value)
    return f"{_INSTRUCTION}{chain.text(_EXAMPLE_LINES)}{question} {answer}  {_listed(chain.variables)}\n\n\n\n"


def _listed(variables: Sequence[str]) -> str:
    return " ".join(variables)
