"""Much at a time, but not all: values that a statement names (SQLite takes 32,766, PostgreSQL 65,535), rows read."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable

AT_ONCE = 1000

Value = TypeVar("Value")


def portions(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """The values in order, AT_ONCE of them and then the next."""
    for first in range(0, len(values), AT_ONCE):
        yield values[first : first + AT_ONCE]


def read_rows(connection: Connection, query: Executable) -> Iterator[Sequence[Any]]:
    """The rows of a query, AT_ONCE from the database: fetching one costs several calls through SQLAlchemy."""
    for some in connection.execute(query).partitions(AT_ONCE):
        yield from some
