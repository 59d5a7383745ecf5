"""SQuAD and HotpotQA as RULER reads them: all documents once, in order, and the questions about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ... import UserError
from ..sources import Rows


@dataclass(frozen=True)
class Question:
    """An answerable question. Documents are numbers in the corpus."""

    text: str
    answers: tuple[str, ...]
    documents: tuple[int, ...]
    """Those that the data set gives with the question: never left out."""
    related: tuple[int, ...] = ()
    """Others on the same subject: they are added first."""


@dataclass(frozen=True)
class Corpus:
    """A data set's documents, sorted, and its questions in the data set's order."""

    documents: Sequence[str]
    questions: Sequence[Question]


def read_squad(task: str, rows: Rows) -> Corpus:
    """Articles of SQuAD 1.1 or 2.0; unanswerable questions are left out. Another shape is a UserError."""
    try:
        return _squad(list(rows.rows))
    except (KeyError, TypeError, AttributeError) as error:
        raise _other_shape(task, "SQuAD's dev-v2.0.json (data, paragraphs, qas)", error) from error


def read_hotpotqa(task: str, rows: Rows) -> Corpus:
    """Questions of HotpotQA's distractor setting, each with its ten paragraphs. Another shape is a UserError."""
    try:
        return _hotpotqa(list(rows.rows))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _other_shape(task, "hotpot_dev_distractor_v1.json (question, answer, context)", error) from error


def _squad(articles: Sequence[dict[str, Any]]) -> Corpus:
    documents = sorted({_text(paragraph["context"]) for article in articles for paragraph in article["paragraphs"]})
    numbers = {text: number for number, text in enumerate(documents)}
    questions = []
    for article in articles:
        subject = dict.fromkeys(numbers[paragraph["context"]] for paragraph in article["paragraphs"])
        for paragraph in article["paragraphs"]:
            own = numbers[paragraph["context"]]
            related = tuple(number for number in subject if number != own)
            for entry in paragraph["qas"]:
                answers = tuple(text for answer in entry["answers"] if (text := _text(answer["text"])))
                if answers and not entry.get("is_impossible", False):
                    questions.append(Question(_text(entry["question"]), answers, (own,), related))
    return Corpus(documents, questions)


def _hotpotqa(rows: Sequence[dict[str, Any]]) -> Corpus:
    own = [[f"{_text(title)}\n{''.join(sentences)}" for title, sentences in row["context"]] for row in rows]
    documents = sorted({text for texts in own for text in texts})
    numbers = {text: number for number, text in enumerate(documents)}
    questions = [
        Question(_text(row["question"]), (answer,), tuple(dict.fromkeys(numbers[text] for text in texts)))
        for row, texts in zip(rows, own, strict=True)
        if (answer := _text(row["answer"]))
    ]
    return Corpus(documents, questions)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is expected, not {str(value)[:40]}")
    return value


def _other_shape(task: str, expected: str, error: Exception) -> UserError:
    return UserError(f"{task} expects the shape of {expected}, and its data have another ({error!r}).")
