"""Many values, as many at a time as one statement may name: SQLite takes 32,766 of them, PostgreSQL 65,535."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

AT_ONCE = 1000

Value = TypeVar("Value")


def portions(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """The values in order, AT_ONCE of them and then the next."""
    for first in range(0, len(values), AT_ONCE):
        yield values[first : first + AT_ONCE]
