"""Samples in RULER's own output format, one JSON object a line: {index, input, length, outputs}.

Also as RULER writes them since it keeps `answer_prefix` apart, and as lm-eval does (`gen_prefix`, `max_length`).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ... import UserError
from ..definitions import Definition
from ..document import Document
from ..evidence import EvidenceDocument, assignment_spans, needle_spans
from ..lazy import Lazy
from ..request import Documents, Request
from ..sources import find_local, read_rows

_OVER = 1.05
"""lm-eval's fwe exceeds the length it was made to by a few percent."""

_MARKS: Mapping[str, Callable[[str, Sequence[str]], list[list[int]]]] = {"niah": needle_spans, "vt": assignment_spans}
"""By generator how evidence is found; RULER's files do not say which document a question is about."""


def find(request: Request) -> Path | None:
    """The file with this task's samples at this length, if the data folder holds one.

    `<task>_<length>.jsonl`, `<task>.jsonl` or RULER's own `<task>/validation.jsonl`. A folder that has
    the task at other lengths only is a UserError: samples would be made that nobody meant.
    """
    if request.data_dir is None:
        return None
    task, length = request.task, request.target_length
    path = find_local(request.data_dir, (f"{task}_{length}", task, f"{task}/validation"))
    others = sorted(p.stem for p in request.data_dir.glob(f"{task}_*.json*") if p.stem[len(task) + 1 :].isdigit())
    if path is None and others:
        raise UserError(f"{request.data_dir} holds {', '.join(others)} and not {task}_{length}: ask for such a length.")
    return path


def documents(path: Path, definition: Definition, request: Request) -> Documents:
    """The first `limit` samples of that length in the file, in its order; a row of another shape raises UserError."""
    rows, revision = read_rows(path)
    is_named = path.stem == f"{request.task}_{request.target_length}"
    places: Sequence[int] = range(len(rows)) if is_named else _of_length(path, list(rows), request.target_length)

    def document(index: int) -> Document:
        place = places[index]
        return _document(f"{path}, row {place + 1}", rows[place], definition, index)

    return Documents(Lazy(min(request.limit, len(places)), document), revision)


def _of_length(path: Path, rows: Sequence[Mapping[str, Any]], length: int) -> Sequence[int]:
    """Indices of the rows that were made to `length` tokens, as far as the file says."""
    if all("max_length" in row for row in rows):
        for number, row in enumerate(rows, start=1):
            if type(row["max_length"]) is not int:
                raise UserError(f"{path}, row {number}: `max_length` has to be a whole number of tokens.")
        lengths = sorted({row["max_length"] for row in rows})
        if length not in lengths:
            raise UserError(f"{path} holds samples of {', '.join(map(str, lengths))} tokens: ask for such a length.")
        return [index for index, row in enumerate(rows) if row["max_length"] == length]
    longest = max((row["length"] for row in rows if isinstance(row.get("length"), int)), default=length)
    if not length / 2 < longest <= length * _OVER:
        raise UserError(f"{path} holds samples of up to {longest} tokens: ask for such a length, not {length}.")
    return range(len(rows))


def _document(where: str, row: Mapping[str, Any], definition: Definition, index: int) -> EvidenceDocument:
    text, outputs = row.get("input"), row.get("outputs")
    if not isinstance(text, str) or not isinstance(outputs, list) or not outputs:
        raise UserError(f"{where}: RULER's fields are expected, `input` (a text) and `outputs` (a list of texts).")
    if not all(isinstance(output, str) and output for output in outputs):
        raise UserError(f"{where}: `outputs` has to be a list of texts, none of them empty.")
    metadata = definition["metadata"]
    at = max(text.rfind(opener) for opener in metadata["question_openers"])
    if at <= 0:
        raise UserError(f"{where}: `input` has no question of {definition['task']}.")
    context, question = text[:at], text[at:]
    prefix = row.get("answer_prefix", row.get("gen_prefix"))
    if not isinstance(prefix, str | None):
        raise UserError(f"{where}: `answer_prefix` (or `gen_prefix`) has to be a text.")
    if prefix is None:
        question, opener, rest = _parted(question, metadata["answer_opener"])
        prefix = opener + rest
    document = EvidenceDocument(
        task=definition["task"],
        index=index,
        context=context,
        question=question.rstrip(),
        answer_prefix=prefix.strip(),
        outputs=outputs,
        all_classes=[],
    )
    mark = _MARKS.get(metadata["generator"])
    return document if mark is None else {**document, "evidence": mark(context, outputs), "copied": list(outputs)}


def _parted(question: str, opener: str) -> tuple[str, str, str]:
    before, separator, rest = question.rpartition(opener)
    return (before, separator, rest) if separator else (question, "", "")
