"""Takes fields out of rows that come from a user's file or the hub, and says which row is wrong."""

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
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, "a list of texts", value)
        return value

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

    def _wrong(self, name: str, wanted: str, value: Any) -> UserError:
        return UserError(f"{self.task}, row {self.number}: {name!r} must be {wanted}, not {type(value).__name__}.")
