"""The document of a sample, for lm-eval and the harness, and the text of its user turn."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Literal, TypedDict

MARKS = frozenset({"evidence", "copied"})
"""Fields that say where a sample's answer stands (evidence.py): they group no answers."""
TURNS = "turns"
"""The field of a dialogue's later turns, which group no answers either."""


class Turn(TypedDict):
    """A turn of a dialogue, as chat templates take it."""

    role: Literal["user", "assistant"]
    content: str


class Document(TypedDict):
    """One sample of a task. A prompt is cut after `context` when the question must not be seen."""

    task: str
    """Name of the task: scoring looks its metric up by it."""
    index: int
    """Ordinal of the sample, the same for any number of samples."""
    context: str
    """Everything before the question: instruction and text. Never empty."""
    question: str
    """Everything after the context in the user turn, including its leading line end or space. In a dialogue the user
    turn is the first one: `later_turns` follow."""
    answer_prefix: str
    """First words of the answer, fed to the model as part of the assistant turn (lm-eval's gen_prefix)."""
    outputs: list[str]
    """References; the task's metric says whether one or all of them are expected."""
    all_classes: list[str]
    """The classes that a classification chooses among; empty for other tasks."""


def user_text(document: Document) -> str:
    """The user turn exactly as lm-eval renders it (doc_to_text), and as prompts are measured."""
    return document["context"] + document["question"]


def later_turns(document: Mapping[str, Any]) -> list[Turn]:
    """The turns of a dialogue behind the first user turn, the last one the user's; empty where there is one turn."""
    return list(document.get(TURNS) or ())


def own_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document's fields beyond those of `Document`, which neither a model nor a metric sees."""
    return {name: value for name, value in document.items() if name not in Document.__annotations__}


def facets(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, if set, by which answers can be grouped: a length class, a needle's depth; and `document`.

    `document` is the same for samples that ask about the same text, whose answers are therefore not independent: the
    one that the task's loader names, else the hash of the context, which the question is no part of.
    """
    own = {name: value for name, value in own_fields(document).items() if name not in MARKS | {TURNS}}
    fields = {name: value for name, value in own.items() if value not in ("", None, [])}
    return {"document": text_hash([document["context"]]), **fields}


def text_hash(texts: Iterable[str]) -> str:
    """16 hexadecimal digits that stand for some texts in order."""
    return sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
