"""Keep counts, each distinct list of them once: their row's number is made of them."""

import hashlib
import json
from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from .schema import Allocation, AnswerAllocation

_NUMBERS = 2**63
"""As many as a signed column of 8 bytes holds from 0 on."""


def allocation_id(connection: Connection, counts: Sequence[Sequence[int]]) -> int:
    """The row of these counts, written if it is not there, in a writing transaction."""
    text = json.dumps(counts, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % _NUMBERS
    while (row := connection.execute(select(Allocation.counts).where(Allocation.id == number)).first()) is not None:
        if row.counts == counts:
            return number
        number = (number + 1) % _NUMBERS
    connection.execute(insert(Allocation).values(id=number, counts=counts))
    return number


def delete_unused(connection: Connection) -> None:
    """Delete the allocations that no answer refers to."""
    connection.execute(delete(Allocation).where(Allocation.id.not_in(select(AnswerAllocation.allocation_id))))
