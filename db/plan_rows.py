"""The rows that a run puts before any answer: what it uses and which cells and samples it is to answer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, Text, and_, cast, insert, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute

from .cell_scores import update_score
from .portions import portions
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

_DOCUMENTATION = (MethodPage.__tablename__, Task.__tablename__)
"""Texts, of which the newer ones count."""


Values = dict[str, Any]


def put_all(connection: Connection, rows: Iterable[PlanRow]) -> None:
    """Write the rows that are missing, parents first whatever their order, in a writing transaction.

    A row that is there stays as it is, since its key is a hash of it; but a cell takes the larger number of samples,
    a method page or a task the newer text, and a sample, a profile or a model what it lacks.
    IntegrityError when a row names a parent that is nowhere.
    """
    by_table: dict[str, list[Values]] = {}
    for row in rows:
        by_table.setdefault(row.__tablename__, []).append(_values(row))
    for table in Base.metadata.sorted_tables:
        _put(connection, table, by_table.get(table.name, []))


def _put(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Write rows of one table, each key's first one in bulk; then compare those that were there before."""
    key = [column.name for column in table.primary_key]
    repeated: list[Values] = []
    for some in portions(rows):
        first: dict[tuple[Any, ...], Values] = {}
        for row in some:
            if first.setdefault(_key(row, key), row) != row:
                repeated.append(row)
        there = _there(connection, table, list(first))
        if new := [row for place, row in first.items() if place not in there]:
            connection.execute(insert(table), new)
        for place, row in first.items():
            if place in there:
                _renew(connection, table, row, there[place])
    for row in repeated:
        _renew(connection, table, row, _there(connection, table, [_key(row, key)])[_key(row, key)])


def _key(row: Values, key: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in key)


def _there(connection: Connection, table: Table, keys: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], Values]:
    """The rows of these keys: the key, and what a later row may raise."""
    columns = list(table.primary_key)
    shown = [*columns, *([table.c.samples_asked] if table.name == Cell.__tablename__ else [])]
    if len(columns) == 1:
        query = select(*shown).where(columns[0].in_([key[0] for key in keys]))
    else:
        query = select(*shown).where(tuple_(*columns).in_(keys))
    names = [column.name for column in columns]
    return {_key(dict(row), names): dict(row) for row in connection.execute(query).mappings()}


def _renew(connection: Connection, table: Table, row: Values, there: Values) -> None:
    """Give a row that is there what a later one knows better."""
    if table.name == Cell.__tablename__:
        if there["samples_asked"] < row["samples_asked"]:
            _raise_samples(connection, row)
    elif table.name in _DOCUMENTATION:
        connection.execute(update(table).where(_is(table, row)).values(row))
    elif table.name == Profile.__tablename__ and row["arrays"] is not None:
        lacking = update(Profile).where(Profile.hash == row["hash"], Profile.arrays.is_(None))
        connection.execute(lacking.values(arrays=row["arrays"]))
    elif table.name == Sample.__tablename__:
        _fill_in(connection, row)
    elif table.name == Model.__tablename__:
        _fill_in_entries(connection, Model.revision, Model.details, row["revision"], row["details"])


def _raise_samples(connection: Connection, cell: Values) -> None:
    """Raise the number of samples, never lower it."""
    more = update(Cell).where(Cell.id == cell["id"], Cell.samples_asked < cell["samples_asked"])
    if connection.execute(more.values(samples_asked=cell["samples_asked"])).rowcount:
        update_score(connection, cell["id"])


def _fill_in(connection: Connection, sample: Values) -> None:
    """What a row lacks is null; what is there is kept."""
    if sample["facets"] is not None:
        lacking = update(Sample).where(Sample.id == sample["id"], Sample.facets.is_(None))
        connection.execute(lacking.values(facets=sample["facets"], reference_answers=sample["reference_answers"]))
        _fill_in_entries(connection, Sample.id, Sample.facets, sample["id"], sample["facets"])
    if sample["prompt"] is not None:
        lacking = update(Sample).where(Sample.id == sample["id"], Sample.prompt.is_(None))
        connection.execute(lacking.values(prompt=sample["prompt"], reference_answers=sample["reference_answers"]))


def _fill_in_entries(
    connection: Connection,
    key: InstrumentedAttribute[str],
    column: InstrumentedAttribute[Any],
    identity: str,
    entries: Mapping[str, Any],
) -> None:
    """Those of a JSON object that an older version did not write. One that cannot be read stays as it is."""
    stored = parsed(connection.scalar(select(cast(column, Text)).where(key == identity)))
    if isinstance(stored, dict) and not entries.keys() <= stored.keys():
        connection.execute(update(key.class_).where(key == identity).values({column: {**entries, **stored}}))


def _is(table: Table, values: Values) -> ColumnElement[bool]:
    return and_(*(column == values[column.name] for column in table.primary_key))


def _values(row: PlanRow) -> Values:
    return {column.name: getattr(row, column.name) for column in Base.metadata.tables[row.__tablename__].columns}
