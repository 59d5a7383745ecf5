"""LongBench's samples: the rows of its files put into its prompts.

Source: LongBench (arXiv 2308.14508); THUDM/LongBench, LongBench/pred.py at commit 2e00731. Samples are the
first rows of the file, in its order; the seed chooses nothing.
Differs from LongBench: a prompt is handed over in two parts, so that the question need not be seen when
the context is evicted, and what is too long is cut in the middle of the context instead of the prompt.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ... import UserError
from ..definitions import Definition
from ..document import Document
from ..evidence import EvidenceDocument, verbatim_spans
from ..lazy import Lazy
from ..request import Documents, Request
from ..scoring import score_prediction
from ..sources import Source, rows_of
from .fields import Row
from .prompts import fill

Bucket = Literal["0-4k", "4-8k", "8k+"]
"""LongBench-E's groups of lengths, in words (characters for Chinese)."""


class LongBenchDocument(EvidenceDocument):
    """A document of LongBench."""

    id: str
    """The row's own, from the data set; empty if it has none."""
    bucket: str
    """The group of lengths it is reported in; empty if its row has no length."""


def documents(definition: Definition, request: Request) -> Documents:
    """The documents of one task; a row that cannot be used raises UserError when it is read."""
    metadata = definition["metadata"]
    name = metadata["rows"]
    source = Source(**metadata["published"], member=f"data/{name}.jsonl")
    rows, revision = rows_of(request.task, request.data_dir, [name, request.task], source)

    def document(index: int) -> Document:
        return _document(Row(request.task, index + 1, rows[index]), metadata)

    return Documents(Lazy(min(request.limit, len(rows)), document), revision)


def bucket_of(length: int) -> Bucket:
    """LongBench-E's group of a row of that length."""
    if length < 4000:
        return "0-4k"
    return "4-8k" if length < 8000 else "8k+"


def _document(row: Row, metadata: Mapping[str, Any]) -> LongBenchDocument:
    prompt = fill(metadata["template"], {"context": row.text("context"), "input": row.text("input")})
    answers = row.some_texts("answers")
    classifies = metadata["metric"].endswith(":classification")
    classes = row.some_texts("all_classes") if classifies else row.texts("all_classes")
    _check_scorable(row, answers, classes)
    length = row.fields.get("length")
    document = LongBenchDocument(
        task=row.task,
        index=row.number - 1,
        context=prompt.context,
        question=prompt.question,
        answer_prefix="",
        outputs=answers,
        all_classes=classes,
        id=row.label("_id"),
        bucket=bucket_of(length) if isinstance(length, int) else "",
    )
    if metadata.get("evidence") == "verbatim":  # in the row's own text, not in the instruction before it
        document["evidence"] = verbatim_spans(prompt.context, answers, len(prompt.context) - len(row.text("context")))
    return document


def _check_scorable(row: Row, answers: Sequence[str], classes: Sequence[str]) -> None:
    """Let the metric check the references, before a model answers a row that cannot be scored."""
    try:
        score_prediction(row.task, "", answers, classes)
    except UserError as error:
        raise UserError(f"{row.task}, row {row.number}: {error}") from error
