"""Values that many rows share (keep counts, lists of samples), each stored once: its row's number is made of it."""

import hashlib
import json
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Select, bindparam, delete, insert, select
from sqlalchemy.orm import InstrumentedAttribute

from .schema import Allocation, AnswerAllocation, CellSummary, SampleList

_NUMBERS = 2**63
"""As many as a signed column of 8 bytes holds from 0 on."""


def shared_row(connection: Connection, column: InstrumentedAttribute[Any], value: Any) -> int:
    """The number of the row that holds a JSON value, written if it is not there, in a writing transaction.

    Args:
        connection: To the database.
        column: The one column, beside `id`, of a table of such values.
        value: What is shared.
    """
    row_of, new_row = _statements(column)
    text = json.dumps(value, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % _NUMBERS
    while (row := connection.execute(row_of, {"number": number}).first()) is not None:
        if row[0] == value:
            return number
        number = (number + 1) % _NUMBERS
    connection.execute(new_row, {"id": number, column.key: value})
    return number


@cache
def _statements(column: InstrumentedAttribute[Any]) -> tuple[Select[Any], Insert]:
    """The row that has a `number`, and a new row."""
    return select(column).where(column.class_.id == bindparam("number")), insert(column.class_)


def delete_unused(connection: Connection) -> None:
    """Delete the values that no row refers to."""
    for table, users in ((Allocation, AnswerAllocation.allocation_id), (SampleList, CellSummary.sample_list_id)):
        connection.execute(delete(table).where(table.id.not_in(select(users))))
