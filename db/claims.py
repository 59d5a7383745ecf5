"""Which run answers what: a claim on a cell's sample counts for as long as the run that holds it is alive.

A run is alive while its process is there or, where that cannot be seen from this machine, while its heartbeat is
younger than EXPIRY_S. A clock that jumps can make a live run seem dead until its next heartbeat, and a dead one alive
for EXPIRY_S more. Runs that share a database claim before they compute, so that each answer is computed once; a
claim of a dead run is taken over.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select, update

from .clock import moment
from .errors import MissingRowError
from .portions import portions
from .processes import Process, is_running, this_process
from .schema import Answer, Cell, Claim, Run, Sample

EXPIRY_S = 60.0
"""A run whose process cannot be seen is taken for dead once its last heartbeat is older than this many seconds."""

_SETTLE = delete(Claim).where(
    Claim.cell_id == bindparam("cell"), Claim.sample_id == bindparam("sample"), Claim.run_id == bindparam("run")
)
_SIGNS = (Run.status, Run.heartbeat_at, Run.pid, Run.pid_space, Run.pid_start)


@dataclass(frozen=True)
class Claims:
    """What became of the cells that a run wanted to answer a sample for.

    Attributes:
        granted: The run's own now, until their answers are put or the run ends.
        texts: Of those granted, the stored texts that could not be scored, by cell.
        held: Another live run is at work on them.
        done: Answered by now.
        failed: Cell -> error; another run tried since this one began, so that they are not tried again.
    """

    granted: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)


def signs_of_life(connection: Connection) -> dict[str, Any]:
    """The columns of a run by which others see that it is alive."""
    process = this_process()
    return {
        "heartbeat_at": moment(connection),
        "pid": process.pid,
        "pid_space": process.space,
        "pid_start": process.start,
    }


def beat(connection: Connection, run_id: str) -> None:
    """Say that a run is still alive, also to those who took its silence for its end."""
    own = (Run.id == run_id, Run.exit_code.is_(None))
    alive = {"heartbeat_at": moment(connection), "status": "running", "finished_at": None}
    connection.execute(update(Run).where(*own).values(alive))


def interrupt_dead_runs(connection: Connection) -> None:
    """Record as interrupted, at its last heartbeat, every run that was killed, and give up what it claims."""
    now = moment(connection)
    running = select(Run.id, *_SIGNS).where(Run.status == "running")
    dead = [run for run in connection.execute(running).mappings() if not _is_alive(run, now)]
    for run in dead:
        ended = {"status": "interrupted", "finished_at": run["heartbeat_at"]}
        connection.execute(update(Run).where(Run.id == run["id"]).values(ended))
        release(connection, run["id"])


def claim(
    connection: Connection, run_id: str, sample_id: str, cell_ids: Sequence[str], *, after: int, redo: bool
) -> Claims:
    """Claim a sample for those of the cells that need it and that no live run holds, in a writing transaction.

    Answers with a number above `after` were given since the run began: a failed one is not tried again, and with `redo`
    no other counts as done. MissingRowError for an unknown cell or sample.
    """
    claims, now = Claims(), moment(connection)
    for cells in portions(cell_ids):
        answers = _answers(connection, sample_id, cells)
        holders = _holders(connection, sample_id, cells, run_id)
        for cell in cells:
            _decide(claims, cell, answers.get(cell), holders.get(cell), after, now, redo)
        to_claim = [cell for cell in cells if cell in claims.granted]
        if to_claim:
            _check_there(connection, sample_id, to_claim)
            connection.execute(delete(Claim).where(Claim.sample_id == sample_id, Claim.cell_id.in_(to_claim)))
            rows = [{"cell_id": cell, "sample_id": sample_id, "run_id": run_id} for cell in to_claim]
            connection.execute(insert(Claim), rows)
    return claims


def _check_there(connection: Connection, sample_id: str, cells: Sequence[str]) -> None:
    if connection.scalar(select(Sample.id).where(Sample.id == sample_id)) is None:
        raise MissingRowError("sample", sample_id)
    there = set(connection.scalars(select(Cell.id).where(Cell.id.in_(cells))))
    for cell in cells:
        if cell not in there:
            raise MissingRowError("cell", cell)


def release(connection: Connection, run_id: str) -> None:
    """Give up whatever a run still claims."""
    connection.execute(delete(Claim).where(Claim.run_id == run_id))


def settle(connection: Connection, cell_id: str, sample_id: str, run_id: str) -> None:
    """Give up one claim of a run, whose answer is there."""
    connection.execute(_SETTLE, {"cell": cell_id, "sample": sample_id, "run": run_id})


def live_claims(connection: Connection, cell_id: str) -> bool:
    """Whether any live run is at work on a cell."""
    holders = select(*_SIGNS).join(Claim, Claim.run_id == Run.id).where(Claim.cell_id == cell_id).distinct()
    now = moment(connection)
    return any(_is_alive(run, now) for run in connection.execute(holders).mappings())


def _answers(connection: Connection, sample_id: str, cells: Sequence[str]) -> dict[str, RowMapping]:
    columns = (Answer.cell_id, Answer.status, Answer.error, Answer.text, Answer.id)
    query = select(*columns).where(Answer.sample_id == sample_id, Answer.cell_id.in_(cells))
    return {row["cell_id"]: row for row in connection.execute(query).mappings()}


def _holders(connection: Connection, sample_id: str, cells: Sequence[str], run_id: str) -> dict[str, RowMapping]:
    """By cell, the other run that claims it."""
    query = select(Claim.cell_id, *_SIGNS).join(Run, Run.id == Claim.run_id)
    query = query.where(Claim.sample_id == sample_id, Claim.cell_id.in_(cells), Claim.run_id != run_id)
    return {row["cell_id"]: row for row in connection.execute(query).mappings()}


def _decide(
    claims: Claims,
    cell: str,
    answer: RowMapping | None,
    holder: RowMapping | None,
    after: int,
    now: datetime,
    redo: bool,
) -> None:
    is_recent = answer is not None and answer["id"] > after
    if answer is not None and answer["status"] == "done" and (is_recent or not redo):
        claims.done.add(cell)
    elif answer is not None and answer["status"] == "failed" and is_recent:
        claims.failed[cell] = answer["error"]
    elif holder is not None and _is_alive(holder, now):
        claims.held.add(cell)
    else:
        claims.granted.add(cell)
        if answer is not None and answer["status"] == "failed" and answer["text"] is not None and not redo:
            claims.texts[cell] = answer["text"]


def _is_alive(run: RowMapping, now: datetime) -> bool:
    if run["status"] != "running" or run["heartbeat_at"] is None:  # an older schema had no heartbeat
        return False
    process = Process(run["pid"], run["pid_space"], run["pid_start"])
    if run["pid"] is not None and process != this_process():  # in a notebook's own an earlier run may have ended
        alive = is_running(process)
        if alive is not None:
            return alive
    silence: timedelta = now - run["heartbeat_at"]
    # A heartbeat far in the future is older than a clock that was set back: a live run soon gives one by the new time.
    return abs(silence) <= timedelta(seconds=EXPIRY_S)
