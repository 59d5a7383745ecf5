"""A needle sample before its size is known."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from ..evidence import EvidenceDocument, needle_spans
from ..request import Request
from ..sources import find_local
from .draws import Fresh, sample_rng
from .essays import EssayText, read_essays, read_rulers_essays
from .haystacks import Essays, Haystack, Lines, Needle
from .wording import NOISE, Wording, needle_sentence, wording
from .words import word_lists


class NeedleDocument(EvidenceDocument):
    """A document of a needle task."""

    depths: list[float]
    """For each output, the share of the haystack (lines, sentences) before its needle."""


@dataclass(frozen=True)
class Knobs:
    """How RULER's needle tasks differ; the definitions carry them."""

    haystack: str
    """noise, essay or needle"""
    keys: str
    """words or uuids"""
    values: str
    """numbers or uuids"""
    num_keys: int = 1
    num_values: int = 1
    """Per key, each in its own needle."""
    num_queries: int = 1
    """How many of the keys are asked for."""
    depth: float | None = None
    """The share of the haystack before the one needle; None = drawn."""
    draws_as: str | None = None
    """Tasks that differ only in depth share this name, and thereby their needles."""


@dataclass(frozen=True)
class Materials:
    """The external data that a task's samples are made from."""

    essays: EssayText | None
    words: bool

    @classmethod
    def gather(cls, knobs: Knobs, request: Request) -> Self:
        """Reads essays only if they are the haystack: RULER's own from the data folder, else the archive's."""
        essays = _essays(request) if knobs.haystack == "essay" else None
        return cls(essays, words="words" in (knobs.keys, knobs.values))

    def revision(self) -> str:
        """Hash over the data from outside this repository."""
        used: list[str] = []
        if self.words:
            used += ["words", *word_lists().adjectives, "", *word_lists().nouns]
        if self.essays is not None:
            used += ["essays", *self.essays.words]
        return sha256("\n".join(used).encode()).hexdigest()[:16]


def _essays(request: Request) -> EssayText:
    local = None if request.data_dir is None else find_local(request.data_dir, ["PaulGrahamEssays"])
    return read_essays(request.essay_archive()) if local is None else read_rulers_essays(local)


@dataclass(frozen=True)
class NeedleDraft:
    """The draws of one sample; units are the haystack's."""

    task: str
    index: int
    wording: Wording
    outputs: tuple[str, ...]
    depths: tuple[float, ...]
    needles: tuple[Needle, ...]
    haystack: Haystack
    most: None = None

    @property
    def first_step(self) -> int:
        """The haystack's."""
        return self.haystack.first_step

    @property
    def fewest(self) -> int:
        """Units of haystack in the smallest sample: one for every needle."""
        return len(self.needles)

    def document(self, units: int) -> NeedleDocument:
        """The sample with that much haystack."""
        context = f"{self.wording.instruction}\n{self.haystack.text(units, self.needles)}"
        return NeedleDocument(
            task=self.task,
            index=self.index,
            context=context,
            question=f"\n{self.wording.question}",
            answer_prefix=self.wording.answer_prefix,
            outputs=list(self.outputs),
            all_classes=[],
            depths=list(self.depths),
            evidence=needle_spans(context, self.outputs),
            copied=list(self.outputs),
        )


def draft(knobs: Knobs, materials: Materials, task: str, identity: tuple[str, int, int, int]) -> NeedleDraft:
    """Draws sample (name, length, seed, index). Distractors come last: they are drawn as they are used."""
    rng = sample_rng(*identity)
    fresh = Fresh(rng)
    keys = [fresh(knobs.keys) for _ in range(knobs.num_keys)]
    pairs = [(key, fresh(knobs.values)) for key in keys for _ in range(knobs.num_values)]
    haystack = _haystack(knobs, materials, fresh)
    depths = haystack.depths(rng, len(pairs)) if knobs.depth is None else [knobs.depth] * len(pairs)
    queries = rng.sample(keys, knobs.num_queries)
    hidden = list(zip(pairs, depths, strict=True))
    answers = [(value, depth) for query in queries for (key, value), depth in hidden if key == query]
    return NeedleDraft(
        task=task,
        index=identity[-1],
        wording=wording(knobs.values, queries, len(answers)),
        outputs=tuple(value for value, _ in answers),
        depths=tuple(depth for _, depth in answers),
        needles=tuple(Needle(needle_sentence(knobs.values, *pair), depth) for pair, depth in hidden),
        haystack=haystack,
    )


def _haystack(knobs: Knobs, materials: Materials, fresh: Fresh) -> Haystack:
    if materials.essays is not None:
        return Essays(materials.essays)
    return Lines(lambda _: NOISE) if knobs.haystack == "noise" else Lines(Distractors(knobs, fresh))


class Distractors:
    """Lines like the needle with other keys and values; line j is the same at every size."""

    def __init__(self, knobs: Knobs, fresh: Fresh) -> None:
        self.knobs = knobs
        self.fresh = fresh
        self._lines: list[str] = []

    def __call__(self, position: int) -> str:
        """The line at that position, drawn on first use."""
        while len(self._lines) <= position:
            key, value = self.fresh(self.knobs.keys), self.fresh(self.knobs.values)
            self._lines.append(needle_sentence(self.knobs.values, key, value))
        return self._lines[position]
