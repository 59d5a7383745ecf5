"""The rows of one answer, in a writing transaction. A run writes thousands, so each statement is built once."""

from dataclasses import asdict

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from .clock import moment
from .errors import MissingRowError
from .records import AnswerRecord
from .schema import Allocation, Answer, AnswerAllocation, Cell, Evidence, Fidelity, Sample, Timing
from .shared_rows import shared_row
from .standing import DONE, FAILED

_ordinal = select(Sample.ordinal).where(Sample.id == bindparam("sample")).scalar_subquery()
_answers = select(Answer.id).join(Sample, Sample.id == Answer.sample_id)
_EARLIER = Answer.id.in_(_answers.where(Answer.cell_id == bindparam("cell"), Sample.ordinal == _ordinal))
"""A cell's answers at a sample's ordinal."""

_LOCKED = select(Cell.id).where(Cell.id == bindparam("cell")).with_for_update()
_NEWEST = select(func.max(Answer.id))
_DONE = select(Answer.id).where(_EARLIER, DONE)
_TAKE_REASON = (
    update(Answer)
    .where(_EARLIER, FAILED, Answer.text.is_not(None))
    .values(error=bindparam("reason"), run_id=bindparam("run"), created_at=bindparam("moment"))
)
_DELETE = delete(Answer).where(_EARLIER)
_INSERT = insert(Answer)
_INSERT_ALLOCATION = insert(AnswerAllocation)
_INSERT_MEASURED = {"timing": insert(Timing), "fidelity": insert(Fidelity), "evidence": insert(Evidence)}
"""By each part of an answer's record that is a row of its own."""


def lock_cell(connection: Connection, cell_id: str) -> None:
    """Let no other process change a cell's row until the end, under any database. MissingRowError for an unknown
    cell."""
    if connection.scalar(_LOCKED, {"cell": cell_id}) is None:
        raise MissingRowError("cell", cell_id)


def newest_answer(connection: Connection) -> int:
    """The number of the newest answer; 0 without any."""
    return connection.scalar(_NEWEST) or 0


def done_answer(connection: Connection, answer: AnswerRecord) -> int | None:
    """The number of the done answer that stands where another would be put; None where there is none."""
    return connection.scalar(_DONE, _place(answer))


def take_reason(connection: Connection, answer: AnswerRecord) -> bool:
    """Give a stored text the reason of a later failure that has none; False where there is no such text."""
    values = {"reason": answer.error, "run": answer.run_id, "moment": moment(connection)}
    return connection.execute(_TAKE_REASON, values | _place(answer)).rowcount > 0


def replace_answer(connection: Connection, answer: AnswerRecord) -> None:
    """Write an answer with what was measured of it; an earlier one at its place is deleted."""
    number = _next_number(connection)
    connection.execute(_DELETE, _place(answer))
    values = asdict(answer)
    counts = values.pop("keep_counts")
    measured = {name: values.pop(name) for name in _INSERT_MEASURED}
    values["events"] = list(values["events"])
    inserted = connection.execute(_INSERT, values | {"created_at": moment(connection)} | number)
    (answer_id,) = inserted.inserted_primary_key or (None,)
    for name, row in measured.items():
        if row is not None:
            connection.execute(_INSERT_MEASURED[name], row | {"answer_id": answer_id})
    if counts is not None:
        allocation = shared_row(connection, Allocation.counts, counts)
        connection.execute(_INSERT_ALLOCATION, {"answer_id": answer_id, "allocation_id": allocation})


def _place(answer: AnswerRecord) -> dict[str, str]:
    return {"cell": answer.cell_id, "sample": answer.sample_id}


def _next_number(connection: Connection) -> dict[str, int]:
    """The `id` of the next answer, where the database would give that of a deleted last one again."""
    return {"id": newest_answer(connection) + 1} if connection.dialect.name == "sqlite" else {}
