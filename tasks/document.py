"""What a sample looks like to lm-eval and to the harness, and the text of its user turn."""

from collections.abc import Mapping
from typing import Any, TypedDict


class Document(TypedDict):
    """One sample of a task. A prompt is cut behind `context` when the question must not be seen."""

    task: str
    """Name of the task: scoring looks its metric up by it."""
    index: int
    """Ordinal of the sample; it depends on nothing that was asked beside it."""
    context: str
    """Everything in front of the question: instruction and text. Never empty."""
    question: str
    """Everything behind the context in the user turn, its own leading line end or space included."""
    answer_prefix: str
    """First words of the answer, fed to the model in the assistant's name (lm-eval's gen_prefix)."""
    outputs: list[str]
    """References; the task's metric says whether one or all of them are expected."""
    all_classes: list[str]
    """The classes that a classification chooses among; empty for other tasks."""


def user_text(document: Document) -> str:
    """The user turn exactly as lm-eval renders it (doc_to_text), and as prompts are measured."""
    return document["context"] + document["question"]


def own_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a family's documents hold beyond a Document's fields: no model is shown it, and no metric."""
    return {name: value for name, value in document.items() if name not in Document.__annotations__}


def facets(document: Mapping[str, Any]) -> dict[str, Any]:
    """What answers to the document may be grouped by, as far as its data say: a length class, a needle's depth."""
    return {name: value for name, value in own_fields(document).items() if value not in ("", None, [])}
