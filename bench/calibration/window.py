"""Cuts calibration texts to a model's window."""

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace

from ... import UserError
from ..engine.prompt import Prompt, render, split
from ..engine.ready import longest_sequence
from ..models.load import LoadedModel
from .documents import Document

CHARACTERS_A_TOKEN = 64
"""Upper bound of characters per token: longer texts are cut to it first, so that the search is quick for any size."""

CHARACTERS_A_TOKEN_OFTEN = 4
"""Characters per token of English under usual tokenizers: where the search begins."""

MOST_IN_REQUEST = 64
"""Tokens of the request to repeat a part of a text, its template included."""


def prompts_of(loaded: LoadedModel, document: Document) -> list[Prompt]:
    """A prompt for each question about the document, rendered as in a run."""
    return [_prompt(loaded, document.text, question) for question in document.questions]


def fit_to_window(loaded: LoadedModel, document: Document, n_answer: int, *, n_repeated: int = 0) -> Document:
    """The document, its text cut after the last whole word with which every question and its answer fit the model.

    Args:
        loaded: The model.
        document: With at least one question.
        n_answer: Tokens of an answer.
        n_repeated: Tokens of the text that are repeated at a time beside all of it; 0 = none are.

    Raises:
        UserError: a question and its answer do not fit beside any text.
    """
    room = longest_sequence(loaded) - n_answer

    longest = max(len(question.encode()) for question in document.questions)

    def fits(text: str) -> bool:
        first, *others = document.questions
        n_tokens = _prompt(loaded, text, first).n_tokens
        if n_repeated and n_tokens + min(n_tokens, n_repeated) + MOST_IN_REQUEST > longest_sequence(loaded):
            return False
        if n_tokens + longest <= room:  # no question has more tokens than bytes
            return True
        return n_tokens <= room and all(_prompt(loaded, text, other).n_tokens <= room for other in others)

    text = document.text[: CHARACTERS_A_TOKEN * max(room, 1)]
    texts = _Beginnings(text, document.text)
    n_words = _last(lambda n: fits(texts[n]), len(texts), texts.n_within(CHARACTERS_A_TOKEN_OFTEN * room))
    if not n_words:
        raise UserError(
            f"the questions about the calibration document {document.name} leave no room for its text in the {room} "
            f"tokens that {loaded.name} has beside an answer; ask shorter ones: profile --text F --questions F."
        )
    if (cut := texts[n_words]) == document.text:
        return document
    return replace(document, text=cut, whole=len(document.text))


class _Beginnings:
    """A text's first n words by n, from 1; the last is the whole document where nothing was cut off before."""

    def __init__(self, text: str, whole: str) -> None:
        self._text = text
        self._ends = [word.end() for word in re.finditer(r"\S+", text)]
        if len(text) == len(whole):
            self._ends.append(len(text))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, n: int) -> str:
        return self._text[: self._ends[n - 1]]

    def n_within(self, n_characters: int) -> int:
        """How many words end within so many characters."""
        return bisect_right(self._ends, n_characters)


def _last(holds: Callable[[int], bool], n: int, guess: int) -> int:
    """The largest number from 1 to `n` of which something holds that holds of all smaller ones, too; 0 where it never
    does. Few questions are asked where the guess is good, and none about numbers far above the answer."""
    low, high, step = 0, n + 1, 1
    at = min(max(guess, 1), n)
    while low < at < high:
        if holds(at):
            low, at = at, at + step
        else:
            high, at = at, at - step
        step *= 2
    return low + bisect_right(range(low + 1, high), False, key=lambda number: not holds(number))


def _prompt(loaded: LoadedModel, text: str, question: str) -> Prompt:
    return split(loaded.tokenizer, render(loaded.tokenizer, f"{text}\n\n{question}"), text)
