"""The rows of a JSONL or CSV file, each with its line."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ... import UserError
from ..json_text import read_json
from .reading import LARGEST, read_text

COLUMNS = ("context", "context_file", "question", "questions", "answers")
LISTS = ("questions", "answers")
"""Columns whose cell in a CSV may hold a JSON list."""


@dataclass(frozen=True)
class Row:
    """What a line holds.

    Attributes:
        place: File and line, for messages.
        fields: By column; those that are empty are not there.
    """

    place: str
    fields: Mapping[str, Any]


def jsonl_rows(path: Path) -> list[Row]:
    """The objects of a JSON Lines file; empty lines are passed over.

    Raises:
        UserError: the file or a line cannot be read, or a key is none of the columns.
    """
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            place = f"{path}, line {number}"
            rows.append(Row(place, _object(place, read_json(place, line))))
    if not rows:
        raise UserError(f"{path} holds no rows; give one JSON object a line, with a context and a question.")
    return rows


def csv_rows(path: Path) -> list[Row]:
    """The rows of a CSV file whose first row names the columns; empty rows are passed over.

    Raises:
        UserError: the file or a row cannot be read, or a column is unknown or named twice.
    """
    text = read_text(path)
    rows: list[Row] = []
    with _long_fields():
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        columns: list[str] | None = None
        while (read := _next(path, reader)) is not None:
            place, cells = read
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _header(place, cells)
            else:
                rows.append(Row(place, _cells(place, columns, cells)))
    if not rows:
        raise UserError(f"{path} holds no rows; its first line names the columns, each later one holds a question.")
    return rows


@contextmanager
def _long_fields() -> Iterator[None]:
    """Within the block a CSV's field may be as long as a file."""
    before = csv.field_size_limit(LARGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _next(path: Path, reader: Any) -> tuple[str, list[str]] | None:
    """The next row with its first line; None at the end."""
    place = f"{path}, line {reader.line_num + 1}"
    try:
        return place, next(reader)
    except StopIteration:
        return None
    except csv.Error as error:
        raise UserError(f"{place}: not valid CSV ({error}).") from None


def _header(place: str, cells: Sequence[str]) -> list[str]:
    columns = [cell.strip() for cell in cells]
    for column in columns:
        _check_column(place, "column", column)
        if columns.count(column) > 1:
            raise UserError(f"{place}: the column {column!r} is named twice.")
    return columns


def _cells(place: str, columns: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    if len(cells) != len(columns):
        raise UserError(
            f"{place}: {len(cells)} fields where the first line names {len(columns)} columns; put texts that hold "
            "commas or line ends into double quotes."
        )
    return {
        column: _value(f"{place}, {column}", column, cell)
        for column, cell in zip(columns, cells, strict=True)
        if cell.strip()
    }


def _value(place: str, column: str, cell: str) -> Any:
    if column in LISTS and cell.lstrip().startswith("["):
        return read_json(place, cell)
    return cell


def _object(place: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{place}: a JSON object such as {{...}} is expected, not {json.dumps(value)[:40]}.")
    for key in value:
        _check_column(place, "key", key)
    return {key: one for key, one in value.items() if one is not None}


def _check_column(place: str, kind: str, name: str) -> None:
    if name in COLUMNS:
        return
    near = get_close_matches(name.casefold(), COLUMNS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(COLUMNS)}."
    raise UserError(f"{place}: unknown {kind} {name!r}: {hint}")
