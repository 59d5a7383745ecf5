"""Cuts calibration texts to a model's window."""

import re
from bisect import bisect_right
from dataclasses import replace

from ... import UserError
from ..engine.prompt import Prompt, render, split
from ..engine.ready import longest_sequence
from ..engine.replay import CHUNK
from ..models.load import LoadedModel
from .documents import Document

CHARACTERS_A_TOKEN = 64
"""Upper bound of characters per token: longer texts are cut to it first, so that the search is quick for any size."""


MOST_IN_REQUEST = 64
"""Tokens of the request to repeat a part of a text, its template included."""


def prompts_of(loaded: LoadedModel, document: Document) -> list[Prompt]:
    """A prompt for each question about the document, rendered as in a run."""
    return [_prompt(loaded, document.text, question) for question in document.questions]


def fit_to_window(loaded: LoadedModel, document: Document, n_answer: int, *, is_replayed: bool = False) -> Document:
    """The document, its text cut after the last whole word with which every question and its answer fit the model.

    Args:
        loaded: The model.
        document: With at least one question.
        n_answer: Tokens of an answer.
        is_replayed: Whether a replay of the text must fit beside it, too.

    Raises:
        UserError: a question and its answer do not fit beside any text.
    """
    room = longest_sequence(loaded) - n_answer

    longest = max(len(question.encode()) for question in document.questions)

    def fits(text: str) -> bool:
        first, *others = document.questions
        n_tokens = _prompt(loaded, text, first).n_tokens
        if is_replayed and n_tokens + min(n_tokens, CHUNK) + MOST_IN_REQUEST > longest_sequence(loaded):
            return False
        if n_tokens + longest <= room:  # no question has more tokens than bytes
            return True
        return n_tokens <= room and all(_prompt(loaded, text, other).n_tokens <= room for other in others)

    if len(document.text) <= CHARACTERS_A_TOKEN * room and fits(document.text):
        return document
    text = document.text[: CHARACTERS_A_TOKEN * max(room, 1)]
    ends = [word.end() for word in re.finditer(r"\S+", text)]
    n_words = bisect_right(ends, False, key=lambda end: not fits(text[:end]))
    if not n_words:
        raise UserError(
            f"the questions about the calibration document {document.name} leave no room for its text in the {room} "
            f"tokens that {loaded.name} has beside an answer; ask shorter ones: profile --text F --questions F."
        )
    return replace(document, text=text[: ends[n_words - 1]], whole=len(document.text))


def _prompt(loaded: LoadedModel, text: str, question: str) -> Prompt:
    return split(loaded.tokenizer, render(loaded.tokenizer, f"{text}\n\n{question}"), text)
