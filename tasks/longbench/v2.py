"""LongBench v2: questions with four choices on contexts of 8k to 2M words.

Source: LongBench v2 (arXiv 2412.15204); THUDM/LongBench, pred.py and prompts/0shot.txt at commit 2e00731.
Differs from LongBench v2: greedy, where it samples at temperature 0.1; and as for LongBench (rows.py), a
prompt in two parts, cut in the middle of the context if it is too long.
"""

import re
from collections.abc import Sequence

from ... import UserError
from ..definitions import Definition
from ..document import Document
from ..lazy import Lazy
from ..request import Documents, Request
from ..sources import Source, rows_of
from .fields import Row
from .prompts import fill

_FIELDS = ("context", "question", "choice_A", "choice_B", "choice_C", "choice_D")
_ANSWERS = (re.compile(r"The correct answer is \(([A-D])\)"), re.compile(r"The correct answer is ([A-D])"))


class ChoiceDocument(Document):
    """A document of LongBench v2."""

    id: str
    """The row's own, from the data set; empty if it has none."""
    difficulty: str
    """easy or hard; empty if its row has none."""
    length: str
    """short, medium or long; empty if its row has none."""
    domain: str
    """Such as "Single-Document QA"; empty if its row has none."""
    sub_domain: str
    """Such as "Financial"; empty if its row has none."""


def documents(definition: Definition, request: Request) -> Documents:
    """The documents of the data set or of one length; a row that cannot be used raises UserError when it is read."""
    metadata = definition["metadata"]
    rows, revision = rows_of(request.task, request.data_dir, metadata["local_files"], Source(**metadata["published"]))
    places: Sequence[int] = range(len(rows))
    if (part := metadata["part"]) != "all":
        places = [place for place in places if Row(request.task, place + 1, rows[place]).text("length") == part]
    if not places:
        raise UserError(f"{request.task}: no row of the data is of length {part!r}.")

    def document(index: int) -> Document:
        place = places[index]
        return _document(Row(request.task, place + 1, rows[place]), index, metadata["template"])

    return Documents(Lazy(min(request.limit, len(places)), document), revision)


def choice(prediction: str, answers: Sequence[str], all_classes: Sequence[str] = ()) -> float:
    """1 if the letter after the first "The correct answer is" is the right one; asterisks do not count.

    A letter in parentheses takes precedence over one without.
    """
    text = prediction.replace("*", "")
    letter = next((match[1] for pattern in _ANSWERS if (match := pattern.search(text))), None)
    return float(letter in answers)


def _document(row: Row, index: int, template: str) -> ChoiceDocument:
    answer = row.text("answer")
    if answer not in ("A", "B", "C", "D"):
        raise UserError(f"{row.task}, row {row.number}: 'answer' must be A, B, C or D, not {answer!r}.")
    prompt = fill(template, {name: row.text(name).strip() for name in _FIELDS})
    return ChoiceDocument(
        task=row.task,
        index=index,
        context=prompt.context,
        question=prompt.question,
        answer_prefix="",
        outputs=[answer],
        all_classes=[],
        id=row.label("_id"),
        difficulty=row.label("difficulty"),
        length=row.label("length"),
        domain=row.label("domain"),
        sub_domain=row.label("sub_domain"),
    )
