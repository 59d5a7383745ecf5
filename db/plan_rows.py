"""The rows that a run puts before any answer: what it uses and which cells and samples it is to answer."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, Text, and_, cast, insert, select, update
from sqlalchemy.exc import IntegrityError

from .cell_scores import update_score
from .readable import parsed
from .schema import (
    Base,
    Cell,
    Configuration,
    ConfigurationProfile,
    Environment,
    MethodPage,
    Model,
    Profile,
    Sample,
    Task,
)

PlanRow = Environment | Model | MethodPage | Task | Profile | Configuration | ConfigurationProfile | Cell | Sample

_DOCUMENTATION = (MethodPage, Task)
"""Texts, of which the newer ones count."""


def put_all(connection: Connection, rows: Iterable[PlanRow]) -> None:
    """Write the rows that are missing, parents first whatever their order.

    A row that is there stays as it is, since its key is a hash of it; but a cell takes the larger number of samples,
    a method page or a task the newer text, and a sample or a profile what it lacks.
    IntegrityError when a row names a parent that is nowhere.
    """
    rank = {table.name: place for place, table in enumerate(Base.metadata.sorted_tables)}
    for row in sorted(rows, key=lambda row: rank[row.__tablename__]):
        values = _values(row)
        if _insert_missing(connection, _table(row), values):
            continue
        if isinstance(row, Cell):
            _raise_samples(connection, row)
        elif isinstance(row, _DOCUMENTATION):
            connection.execute(update(_table(row)).where(_is(_table(row), values)).values(values))
        elif isinstance(row, Profile) and row.arrays is not None:
            lacking = update(Profile).where(Profile.hash == row.hash, Profile.arrays.is_(None))
            connection.execute(lacking.values(arrays=row.arrays))
        elif isinstance(row, Sample):
            _fill_in(connection, row)


def _raise_samples(connection: Connection, cell: Cell) -> None:
    """Raise the number of samples, never lower it."""
    more = update(Cell).where(Cell.id == cell.id, Cell.samples_asked < cell.samples_asked)
    if connection.execute(more.values(samples_asked=cell.samples_asked)).rowcount:
        update_score(connection, cell.id)


def _fill_in(connection: Connection, sample: Sample) -> None:
    """What a row lacks is null; what is there is kept."""
    if sample.facets is not None:
        lacking = update(Sample).where(Sample.id == sample.id, Sample.facets.is_(None))
        connection.execute(lacking.values(facets=sample.facets, reference_answers=sample.reference_answers))
        _fill_in_facets(connection, sample.id, sample.facets)
    if sample.prompt is not None:
        lacking = update(Sample).where(Sample.id == sample.id, Sample.prompt.is_(None))
        connection.execute(lacking.values(prompt=sample.prompt))


def _fill_in_facets(connection: Connection, sample: str, facets: Mapping[str, Any]) -> None:
    """Those that an older version did not write. Facets that cannot be read stay as they are."""
    stored = parsed(connection.scalar(select(cast(Sample.facets, Text)).where(Sample.id == sample)))
    if isinstance(stored, dict) and not facets.keys() <= stored.keys():
        connection.execute(update(Sample).where(Sample.id == sample).values(facets={**facets, **stored}))


def _insert_missing(connection: Connection, table: Table, values: dict[str, Any]) -> bool:
    """Whether the row was missing. Another process may write it in between, but in SQLite."""
    there = select(*table.primary_key).where(_is(table, values))
    if connection.execute(there).first() is not None:
        return False
    try:
        with connection.begin_nested():
            connection.execute(insert(table).values(values))
    except IntegrityError:
        if connection.execute(there).first() is None:
            raise
        return False
    return True


def _is(table: Table, values: dict[str, Any]) -> ColumnElement[bool]:
    return and_(*(column == values[column.name] for column in table.primary_key))


def _values(row: PlanRow) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in _table(row).columns}


def _table(row: PlanRow) -> Table:
    return Base.metadata.tables[row.__tablename__]
