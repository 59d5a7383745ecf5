"""Answers as people read them: for every sample its references, and below what each configuration answered."""

import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from ...db.answers import ANSWER_COLUMNS
from ...db.labels import ONE_SHOT
from ..errors import printable
from .columns import as_json
from .layout import shortened, text_width, wrapped
from .table import print_note

AnswerRow = Mapping[str, Any]
"""An answer of `db.answers.read_answers`."""

MARGIN = 2 + 2 + 5 + 2
"""Columns that indent, gaps and the score take."""

NARROWEST = 20
"""Columns of a text at least; where the names leave fewer, each text stands below its name."""

LONGEST = 160
"""Characters of an answer or a reference that the table shows; `--json` has it whole."""

_NOTE = "score: 0 to 100, higher is better; long texts lose their middle here, --json and --csv have them whole."


def print_answers(answers: Sequence[AnswerRow], width: int | None) -> None:
    """A paragraph for each sample on stdout."""
    for heading, rows in _samples(answers):
        print("\n".join(wrapped([heading], width)) if width is not None else heading)
        names = ["reference", *(_method(row, rows) for row in rows)]
        column = max(map(text_width, names))
        is_narrow = width is not None and width - column - MARGIN < NARROWEST
        room = LONGEST if width is None else max(NARROWEST, width - MARGIN - (0 if is_narrow else column))
        scores = ["", *map(_score, rows)]
        texts = [_references(rows[0], room), *(_text(row, room) for row in rows)]
        for name, score, text in zip(names, scores, texts, strict=True):
            if is_narrow and width is not None:
                print("\n".join(f"  {line}" for line in wrapped([name], width - 2, "  ")))
            beside = "" if is_narrow else name + " " * (column - text_width(name))
            print(f"  {beside}  {score:>5}  {text}")
        print()
    print_note(_NOTE)


def answers_markdown(answers: Sequence[AnswerRow]) -> str:
    """The same as a table for each sample, in Markdown."""
    lines = []
    for heading, rows in _samples(answers):
        lines += [f"{heading}:", "", "| configuration | score | answer |", "|---|---|---|"]
        lines.append(f"| reference |  | {_escaped(_references(rows[0], LONGEST))} |")
        lines += [
            f"| {_escaped(_method(row, rows))} | {_score(row)} | {_escaped(_text(row, LONGEST))} |" for row in rows
        ]
        lines.append("")
    return "\n".join([*lines, _NOTE])


def print_answers_csv(answers: Sequence[AnswerRow]) -> None:
    """CSV on stdout, nulls empty, references as a JSON list."""
    writer = csv.writer(sys.stdout)
    writer.writerow(ANSWER_COLUMNS)
    for row in answers:
        writer.writerow(as_json(row[name]) for name in ANSWER_COLUMNS)


def _samples(answers: Sequence[AnswerRow]) -> Iterator[tuple[str, list[AnswerRow]]]:
    """(heading, answers) of each sample as each model was asked it."""
    for (model, task, length, ordinal, sample), rows in groupby(answers, key=_sample):
        place = task if length is None else f"{task} {length}"
        yield printable(f"{place}, sample {ordinal} ({sample[:8]}), {model}"), list(rows)


def _sample(row: AnswerRow) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("model", "task", "length", "ordinal", "sample"))


def _method(row: AnswerRow, beside: Sequence[AnswerRow]) -> str:
    """What tells an answer apart from those beside it; the cell's id where nothing else does."""
    name = _label(row)
    alike = [other for other in beside if _label(other) == name]
    return f"{name}, cell {row['cell'][:8]}" if len(alike) > 1 else name


def _label(row: AnswerRow) -> str:
    method = row["allocator"] if row["scorer"] is None else f"{row['allocator']} x {row['scorer']}"
    schedule = [row["schedule"]] * (row["schedule"] != ONE_SHOT)
    budget = [row["budget"]] * (row["budget"] != "-")
    return printable(", ".join([method, *schedule, *budget, *["aware"] * (row["protocol"] == "aware")]))


def _score(row: AnswerRow) -> str:
    return "-" if row["score"] is None else f"{row['score']:.1f}"


def _references(row: AnswerRow, room: int) -> str:
    references = row["references"]
    if not isinstance(references, list) or not references:
        return "(none is stored)"
    return _line(" | ".join(map(str, references)), room)


def _text(row: AnswerRow, room: int) -> str:
    if row["text"] is None:
        return _line(f"failed: {row['error']}", room)
    known = evidence_text(row)
    behind = f"  ({known})" if known else ""
    if len(behind) + NARROWEST > min(room, LONGEST):  # the answer itself needs the width
        behind = ""
    return _line(str(row["text"]), min(room, LONGEST) - len(behind)) + behind


def evidence_text(row: AnswerRow) -> str:
    """What became of a copied answer, and how much of its evidence was kept; "" where neither is known."""
    parts = []
    if row["outcome"] == "miscopied":
        parts.append(f"miscopied, {row['n_right_characters']} of {row['n_characters']} characters right")
    elif row["outcome"] is not None:
        parts.append(str(row["outcome"]))
    if row["evidence_kept_share"] is not None:
        parts.append(f"evidence kept {100 * row['evidence_kept_share']:.0f}%")
    return ", ".join(parts)


def _line(text: str, room: int) -> str:
    return shortened(printable(" ".join(text.split())) or "(empty)", min(room, LONGEST))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
