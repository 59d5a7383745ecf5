"""The columns of a result that are read as they stand, of cells and of configurations, which many cells share."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from .labels import is_oracle
from .portions import portions, read_rows
from .readable import Field, Unreadable, field
from .schema import Cell, Configuration, Model

OF_CELL: Mapping[str, Field] = {
    "cell": field(Cell.id),
    "configuration": field(Cell.configuration_id),
    "task": field(Cell.task),
    "length": field(Cell.length),
    "score": field(Cell.score),
    "stderr": field(Cell.stderr),
    "samples_asked": field(Cell.samples_asked),
    "task_version": field(Cell.task_version),
    "data_revision": field(Cell.data_revision),
}
OF_CONFIGURATION: Mapping[str, Field] = {
    "model_revision": field(Configuration.model_revision),
    "model": field(Model.name),
    "protocol": field(Configuration.protocol),
    "allocator": field(Configuration.allocator),
    "scorer": field(Configuration.scorer),
    "ratio": field(Configuration.ratio),
    "keep_tokens": field(Configuration.keep_tokens),
    "allocator_args": field(Configuration.allocator_args),
    "scorer_args": field(Configuration.scorer_args),
    "dtype": field(Configuration.dtype),
    "seed": field(Configuration.seed),
    "profile_hash": field(Configuration.profile_hash),
    "sink": field(Configuration.sink),
    "window": field(Configuration.window),
    "code_version": field(Configuration.code_version),
    "label": field(Configuration.label),
    "spec": field(Configuration.spec),
}


_READ_AS_THEY_STAND = (str, int)
"""Kinds of columns whose values are right where their type is: a number may be infinite, and JSON is a text."""


class ReadValues(NamedTuple):
    """Values as the schema promises them, with a placeholder and a sentence for each that cannot be read."""

    values: dict[str, Any]
    errors: tuple[str, ...]


def read_values(fields: Mapping[str, Field], stored: Mapping[str, Any], keys: Mapping[str, str]) -> ReadValues:
    """The selected values of some columns.

    Args:
        fields: Name -> column.
        stored: Name -> value as selected.
        keys: The key of the row by table.
    """
    values, errors = {}, []
    for name, column in fields.items():
        value = stored[name]
        if type(value) is column.kind and column.kind in _READ_AS_THEY_STAND:  # most are, and there are many
            values[name] = value
            continue
        try:
            values[name] = column.read(value, keys[column.table])
        except Unreadable as error:
            values[name] = column.placeholder
            errors.append(str(error))
    return ReadValues(values, tuple(errors))


def read_configurations(connection: Connection, ids: Collection[str] | None) -> dict[str, ReadValues]:
    """Configurations by id, those named or all, with the name of their model and the share pruned as a number."""
    return {
        str(row["configuration"]): _configuration(row)
        for some in ([None] if ids is None else portions(sorted(ids)))
        for row in _selected(connection, some)
    }


def missing_configuration(identity: str) -> ReadValues:
    """What stands for a configuration that is gone."""
    values = {name: column.placeholder for name, column in OF_CONFIGURATION.items()} | {"is_oracle": False}
    return ReadValues(values, (f'row {identity[:12]} of table "configuration" is missing',))


def _selected(connection: Connection, ids: Collection[str] | None) -> Iterator[dict[str, Any]]:
    columns = [
        Configuration.id.label("configuration"),
        Model.revision.label("revision"),
        *(column.as_stored.label(name) for name, column in OF_CONFIGURATION.items()),
    ]
    query: Select[Any] = select(*columns).outerjoin(Model, Model.revision == Configuration.model_revision)
    if ids is not None:
        query = query.where(Configuration.id.in_(ids))
    names = [column.name for column in columns]
    for row in read_rows(connection, query):
        yield dict(zip(names, row, strict=True))


def _configuration(stored: Mapping[str, Any]) -> ReadValues:
    """Outer joins: one whose model is gone is shown as unreadable, not left out."""
    identity, revision = str(stored["configuration"]), str(stored["model_revision"])
    fields, errors = dict(OF_CONFIGURATION), []
    if stored["revision"] is None:
        errors.append(f'row {revision[:12]} of table "model" is missing')
        del fields["model"]
    read = read_values(fields, stored, {"configuration": identity, "model": revision})
    values = {"model": OF_CONFIGURATION["model"].placeholder} | read.values
    errors += read.errors
    try:
        values["ratio"] = _ratio(values)
    except ValueError:
        errors.append(f'"ratio" of row {identity[:12]} in table "configuration" is not a share')
        values["ratio"] = None
    values["is_oracle"] = is_oracle(values)
    return ReadValues(values, tuple(errors))


def _ratio(values: Mapping[str, Any]) -> float | None:
    """The share pruned. ValueError for a stored text that is none."""
    if values["ratio"] is None:
        return 0.0 if values["keep_tokens"] is None else None
    ratio = float(values["ratio"])
    if not 0 <= ratio < 1:
        raise ValueError
    return ratio
