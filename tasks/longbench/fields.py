"""Reads the fields of rows from a user's file or the hub; errors name the row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ... import UserError


@dataclass(frozen=True)
class Row:
    """One row of a task's data, counted from 1 in messages."""

    task: str
    number: int
    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A field that is text, perhaps empty."""
        value = self._value(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text", value)
        return value

    def texts(self, name: str) -> list[str]:
        """A field that is a list of texts; null is an empty one."""
        value = self.fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(name, "a list of texts", value)
        if (other := next((item for item in value if not isinstance(item, str)), "")) != "":
            raise UserError(
                f"{self.task}, row {self.number}: {name!r} must be a list of texts, and it holds {_kind(other)}."
            )
        return value

    def label(self, name: str) -> str:
        """A field that names or sorts the row; empty if the row has none, or null."""
        value = self.fields.get(name)
        return "" if value is None else str(value)

    def some_texts(self, name: str) -> list[str]:
        """A field that is a list of texts with at least one in it."""
        self._value(name)
        if not (value := self.texts(name)):
            raise UserError(f"{self.task}, row {self.number}: {name!r} is empty, so nothing could be scored.")
        return value

    def _value(self, name: str) -> Any:
        if name not in self.fields:
            raise UserError(
                f"{self.task}, row {self.number} has no {name!r}: rows in the original's format are expected, "
                f"not {', '.join(sorted(self.fields)) or 'empty ones'}."
            )
        return self.fields[name]

    def _wrong(self, name: str, kind: str, value: Any) -> UserError:
        return UserError(f"{self.task}, row {self.number}: {name!r} must be {kind}, not {_kind(value)}.")


def _kind(value: Any) -> str:
    """What JSON calls a value that is no text."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "a text"
