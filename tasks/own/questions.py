"""Questions about documents, read from the rows of a file or asked of text files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ... import UserError
from .reading import inside, read_document
from .rows import Row


@dataclass(frozen=True)
class Question:
    """One question about one document.

    Attributes:
        place: Where it stands, for messages.
        context: The text that it is about.
        text: The question, without outer white space.
        answers: References; none where the full cache's answer is to be the reference.
    """

    place: str
    context: str
    text: str
    answers: tuple[str, ...] = ()


def questions_of_rows(rows: Sequence[Row], folder: Path) -> list[Question]:
    """The questions of all rows, in order.

    Args:
        rows: Of a file.
        folder: Of that file; the files that rows name are in it.

    Raises:
        UserError: a row lacks a context or a question, a field is of another type, or a file cannot be read.
    """
    document = cache(read_document)  # a context that many rows name is read once
    return [question for row in rows for question in _of_row(row, folder, document)]


def questions_of_texts(paths: Sequence[Path], questions: Sequence[str]) -> list[Question]:
    """Every question about every file, file by file.

    Raises:
        UserError: a file cannot be read, or a question is empty.
    """
    for number, text in enumerate(questions, start=1):
        if not text.strip():
            raise UserError(f"--question number {number} is empty; ask something about the text.")
    return [
        Question(f"{path}, question {number}", context, text.strip())
        for path in paths
        for context in (read_document(path),)
        for number, text in enumerate(questions, start=1)
    ]


def _of_row(row: Row, folder: Path, document: Callable[[Path], str]) -> list[Question]:
    context = _context(row, folder, document)
    texts = _questions(row)
    if "questions" in row.fields:
        references = _references_of_each(row, len(texts))
    else:
        references = [_references(row.place, row.fields.get("answers"))]
    return [Question(row.place, context, text, answers) for text, answers in zip(texts, references, strict=True)]


def _context(row: Row, folder: Path, document: Callable[[Path], str]) -> str:
    _one_of(row, "context", "context_file")
    if "context_file" in row.fields:
        path = inside(folder, _text(row.place, "context_file", row.fields["context_file"]), row.place)
        try:
            return document(path)
        except UserError as error:
            raise UserError(f"{row.place}: {error}") from error.__cause__
    return _text(row.place, "context", row.fields["context"])


def _questions(row: Row) -> list[str]:
    _one_of(row, "question", "questions")
    if "question" in row.fields:
        return [_text(row.place, "question", row.fields["question"]).strip()]
    values = row.fields["questions"]
    if not isinstance(values, list) or not values:
        raise UserError(f"{row.place}: 'questions' must be a list of texts, not {_kind(values)}.")
    return [_text(row.place, f"question {number}", one).strip() for number, one in enumerate(values, start=1)]


def _one_of(row: Row, one: str, other: str) -> None:
    if one not in row.fields and other not in row.fields:
        raise UserError(f"{row.place}: no {one}; give it as {one!r} or {other!r}.")
    if one in row.fields and other in row.fields:
        raise UserError(f"{row.place}: both {one!r} and {other!r}; give one of them.")


def _references_of_each(row: Row, n: int) -> list[tuple[str, ...]]:
    """References of a row's several questions: a list with an entry for each."""
    values = row.fields.get("answers")
    if values is None:
        return [()] * n
    if not isinstance(values, list) or len(values) != n:
        found = f"{len(values)} of them" if isinstance(values, list) else _kind(values)
        raise UserError(f"{row.place}: 'answers' must be a list with an entry for each of {n} questions, not {found}.")
    return [_references(row.place, value) for value in values]


def _references(place: str, value: Any) -> tuple[str, ...]:
    """References of one question: a text, a list of texts, or none."""
    values = [] if value is None else value if isinstance(value, list) else [value]
    return tuple(_text(place, "an answer", one) for one in values)


def _text(place: str, name: str, value: Any) -> str:
    """A text that is not empty."""
    shown = name if " " in name else repr(name)
    if not isinstance(value, str):
        raise UserError(f"{place}: {shown} must be a text in quotes, not {_kind(value)}.")
    if not value.strip():
        raise UserError(f"{place}: {shown} is empty; write a text, or leave the row out.")
    return value


def _kind(value: Any) -> str:
    """What JSON calls a value."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "an object" if isinstance(value, dict) else "a text"
