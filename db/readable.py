"""Values as the schema promises them, whoever wrote the file: SQLite keeps any value in any column."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from sqlalchemy import ColumnElement, Double, Integer, Text, cast
from sqlalchemy.orm import InstrumentedAttribute

from .columns import PublicJson

_HALF = re.compile("[\ud800-\udfff]")

KINDS: Mapping[type, str] = {
    dict: "a JSON object",
    list: "a JSON list",
    int: "a whole number",
    float: "a number",
    str: "a text",
}
_EMPTY: Mapping[type, Any] = {dict: {}, list: [], int: 0, float: 0.0, str: "?"}


class Unreadable(ValueError):
    """A stored value is not what its column is for; says which."""


@dataclass(frozen=True)
class Field:
    """A column and what it must hold.

    Attributes:
        kind: Of its values; an int may stand for a float.
        as_stored: What to select: JSON as its text, since a driver that parses it raises for the whole result.
        placeholder: What stands in a result for a value that cannot be read.
    """

    table: str
    name: str
    kind: type
    is_json: bool
    nullable: bool
    as_stored: ColumnElement[Any]
    placeholder: Any

    def read(self, value: Any, row: str) -> Any:
        """A selected value, JSON parsed.

        Raises:
            Unreadable: it is not of this kind; names the row by its id.
        """
        if self.is_json:
            value = parsed(value)
        if value is None and self.nullable:
            return None
        if not (_is_number(value) if self.kind is float else type(value) is self.kind):
            raise Unreadable(f'"{self.name}" of row {row[:12]} in table "{self.table}" is not {KINDS[self.kind]}')
        return value


def field(attribute: InstrumentedAttribute[Any]) -> Field:
    """The column behind an attribute of the schema; JSON is an object."""
    column = attribute.expression
    types: tuple[tuple[Any, type], ...] = ((PublicJson, dict), (Integer, int), (Double, float))
    kind = next((kind for sql, kind in types if isinstance(column.type, sql)), str)
    return Field(
        table=column.table.name,
        name=column.name,
        kind=kind,
        is_json=kind is dict,
        nullable=bool(column.nullable),
        as_stored=cast(column, Text) if kind is dict else column,
        placeholder=None if column.nullable else _EMPTY[kind],
    )


def parsed(text: Any) -> Any:
    """The value of a JSON text; a text that is none stands for itself, which is neither an object nor a list.

    Half a surrogate pair, which JSON can spell and no text column or frame can hold, becomes U+FFFD.
    """
    try:
        value = json.loads(text)
        return _without_halves(value) if "\\u" in text else value
    except (ValueError, TypeError, RecursionError):
        return text


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return _HALF.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_without_halves(each) for each in value]
    if isinstance(value, dict):
        return {_without_halves(name): _without_halves(each) for name, each in value.items()}
    return value


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and isfinite(value)
