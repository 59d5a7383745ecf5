"""The notes of a context, one a line, and where each of them stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

INTRODUCTION = "Here are the notes of a storehouse, one on each line."


class Note(Protocol):
    """A line of the context."""

    @property
    def text(self) -> str:
        """The line, without its end."""


@dataclass(frozen=True)
class Parcel:
    """A record: a key, a category, a value."""

    name: str
    shelf: str
    code: str

    @property
    def title(self) -> str:
        """Name and place."""
        return f"parcel {self.name} on the {self.shelf} shelf"

    @property
    def text(self) -> str:
        """The note."""
        return f"The code of {self.title} is {self.code}."


@dataclass(frozen=True)
class Worker:
    """A member of a team."""

    name: str
    team: str

    @property
    def text(self) -> str:
        """The note."""
        return f"{self.name} works in the {self.team} team."


@dataclass(frozen=True)
class Variable:
    """A variable that has a value of its own, or another's."""

    name: str
    value: str
    """A value, or with `of` the name of a variable."""
    of: bool = False

    @property
    def text(self) -> str:
        """The note."""
        return f"The value of variable {self.name} is {'that of variable ' if self.of else ''}{self.value}."


@dataclass(frozen=True)
class Passage:
    """What is to be copied word for word."""

    clauses: tuple[str, ...]

    @property
    def text(self) -> str:
        """The note."""
        return f"The motto of the storehouse is: {', '.join(self.clauses)}."


@dataclass(frozen=True)
class Route:
    """Towns in order."""

    towns: tuple[str, ...]

    @property
    def text(self) -> str:
        """The note."""
        return f"The carrier visits {', then '.join(self.towns)}."


@dataclass(frozen=True)
class Prose:
    """A line that no question is about."""

    text: str


@dataclass(frozen=True)
class Page:
    """A context: an introduction and notes in order, none of them twice."""

    notes: Sequence[Note]

    @cached_property
    def text(self) -> str:
        """The context."""
        return "\n".join([INTRODUCTION, *(note.text for note in self.notes)])

    @cached_property
    def parcels(self) -> list[Parcel]:
        """All parcels in order."""
        return [note for note in self.notes if isinstance(note, Parcel)]

    @cached_property
    def workers(self) -> list[Worker]:
        """All workers in order."""
        return [note for note in self.notes if isinstance(note, Worker)]

    def spans(self, notes: Sequence[Note]) -> list[list[int]]:
        """The characters [start, end) of some of its notes, in ascending order."""
        return sorted(self._spans[note] for note in notes)

    @cached_property
    def _spans(self) -> dict[Note, list[int]]:
        spans, start = {}, len(INTRODUCTION) + 1
        for note in self.notes:
            spans[note] = [start, start + len(note.text)]
            start += len(note.text) + 1
        return spans
