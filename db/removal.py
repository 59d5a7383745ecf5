"""Taking results out again: a cell with its answers, so that the next run answers anew."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select

from .. import UserError
from .claims import live_claims
from .costs import has_costs
from .schema import Answer, Cell, Claim, Configuration
from .shared_rows import delete_unused
from .store import Store
from .urls import check_writable


class Removed(NamedTuple):
    """What is gone."""

    cell: str
    task: str
    n_answers: int


def delete_cell(store: Store, prefix: str) -> Removed:
    """Delete the one cell whose id begins so, with its answers; its configuration too where it was the last.

    Raises:
        UserError: no cell's id begins so, or several do; a run is at work on the cell; the database is read-only.
    """
    check_writable(store.url)
    with store.reading() as connection:
        cell_id = _only_one(prefix, _beginning_with(connection, prefix))
    with store.writing() as connection:
        if live_claims(connection, cell_id):
            raise UserError(f"a run is at work on cell {cell_id[:12]}; nothing was deleted, let that run end first.")
        cell = connection.execute(select(Cell.task, Cell.configuration_id).where(Cell.id == cell_id)).first()
        if cell is None:
            raise UserError(f"another process has just deleted cell {cell_id[:12]}.")
        task, configuration = cell
        own = Answer.cell_id == cell_id
        n_answers = connection.scalar(select(func.count()).select_from(Answer).where(own)) or 0
        connection.execute(delete(Answer).where(own))  # timings go with them
        delete_unused(connection)
        connection.execute(delete(Claim).where(Claim.cell_id == cell_id))
        connection.execute(delete(Cell).where(Cell.id == cell_id))
        others = select(Cell.id).where(Cell.configuration_id == configuration)
        if connection.execute(others.limit(1)).first() is None and not has_costs(connection, configuration):
            connection.execute(delete(Configuration).where(Configuration.id == configuration))
    return Removed(cell_id, task, n_answers)


def _beginning_with(connection: Connection, prefix: str) -> Sequence[str]:
    query = select(Cell.id).where(func.substr(Cell.id, 1, len(prefix)) == prefix).order_by(Cell.id)
    return connection.scalars(query.limit(4)).all()


def _only_one(prefix: str, cells: Sequence[str]) -> str:
    if prefix and len(cells) == 1:
        return cells[0]
    if not cells or not prefix:
        raise UserError(f'no cell\'s id begins with "{prefix}"; `results --json` shows the ids.')
    raise UserError(
        f'"{prefix}" begins the ids of several cells ({", ".join(cell[:12] for cell in cells)}); type more of one.'
    )
