"""Where the answer stands in a context: spans of characters that a task marks in its documents.

A span is [start, end) in characters of `Document["context"]`. Neither a model nor a metric sees spans; they tell what
an eviction kept of the answer. docs/tasks.md says which characters are the evidence of which task.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NotRequired

from .document import Document

NEVER_COPIED = frozenset({"yes", "no", "unanswerable"})
"""Answers that are no text of the context, even where it holds the word."""

_IDEOGRAPHS = 0x2E80
"""The first character of the blocks whose words are not parted by blanks."""

_NEEDLE = "One of the special magic "
_ASSIGNMENT = re.compile(r"VAR (\S+) = (?:VAR )?[^\s.]+")
_CHAIN = "Memorize and track the chain"


class EvidenceDocument(Document):
    """A document that may say where its answer stands."""

    evidence: NotRequired[list[list[int]]]
    """Spans in ascending order, none of them empty; an empty list where the answer stands nowhere."""
    copied: NotRequired[list[str]]
    """The texts that a right answer repeats, all of them; missing where answers are not copied."""


def evidence_spans(document: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The spans that a document marks in its context; none where its task knows of none."""
    return [(int(start), int(end)) for start, end in document.get("evidence") or ()]


def verbatim_spans(context: str, answers: Iterable[str], start: int = 0, end: int | None = None) -> list[list[int]]:
    """Every place where one of the answers stands verbatim, as whole words, in ascending order.

    Case counts. Places that overlap are one span. An answer in NEVER_COPIED, or without a letter or a digit, has none.

    Args:
        context: The text.
        answers: Their outer white space is ignored.
        start: Index of the first character that is searched.
        end: Index after the last one; None = the end of the context.
    """
    stop = len(context) if end is None else end
    found: list[list[int]] = []
    for answer in dict.fromkeys(answer.strip() for answer in answers):
        if answer.lower() in NEVER_COPIED or not any(map(str.isalnum, answer)):
            continue
        at = context.find(answer, start, stop)
        while at >= 0:
            if not (_inside_word(context, at) or _inside_word(context, at + len(answer))):
                found.append([at, at + len(answer)])
            at = context.find(answer, at + 1, stop)
    return joined(found)


def needle_spans(context: str, values: Sequence[str]) -> list[list[int]]:
    """The whole sentence of each needle that hides one of these values (RULER's wording)."""
    found = []
    for value in dict.fromkeys(values):
        ending = f" is: {value}."
        at = context.find(ending)
        while at >= 0:
            start = context.rfind(_NEEDLE, 0, at)
            if start >= 0:
                found.append([start, at + len(ending)])
            at = context.find(ending, at + 1)
    return joined(found)


def assignment_spans(context: str, variables: Sequence[str]) -> list[list[int]]:
    """Every statement that assigns one of these variables, behind the worked example (RULER's wording)."""
    names, start = set(variables), max(context.rfind(_CHAIN), 0)
    return [list(match.span()) for match in _ASSIGNMENT.finditer(context, start) if match[1] in names]


def joined(spans: Sequence[Sequence[int]]) -> list[list[int]]:
    """Spans in ascending order; those that overlap are one."""
    done: list[list[int]] = []
    for start, end in sorted((span[0], span[1]) for span in spans):
        if done and start < done[-1][1]:
            done[-1][1] = max(done[-1][1], end)
        else:
            done.append([start, end])
    return done


def _inside_word(text: str, at: int) -> bool:
    """Whether the characters on both sides of an index belong to one word or number."""
    sides = text[max(at - 1, 0) : at + 1]
    return at > 0 and len(sides) == 2 and all(side.isalnum() and ord(side) < _IDEOGRAPHS for side in sides)
