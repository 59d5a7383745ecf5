"""What a sample looks like to lm-eval and to the harness, and the text of its user turn."""

from typing import TypedDict


class Document(TypedDict):
    """One sample of a task. A prompt is cut behind `context` when the question must not be seen."""

    index: int
    """Ordinal of the sample; it depends on nothing that was asked beside it."""
    context: str
    """Everything in front of the question: instruction and haystack. Never empty."""
    question: str
    answer_prefix: str
    """First words of the answer, fed to the model in the assistant's name (lm-eval's gen_prefix)."""
    outputs: list[str]
    """References, every one of them expected in the answer."""


def user_text(document: Document) -> str:
    """The user turn exactly as lm-eval renders it (doc_to_text), and as prompts are measured."""
    return f"{document['context']}\n{document['question']}"
