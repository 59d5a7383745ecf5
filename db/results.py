"""A row per cell, as plain values: what `results` shows and what the frames are made of."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import isfinite
from operator import itemgetter
from types import NoneType
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, cast, select

from .database import Database
from .portions import portions, read_rows
from .readable import parsed
from .schema import Cell, CellSummary
from .standing import status
from .stored_fields import OF_CELL, ReadValues, missing_configuration, read_configurations, read_values
from .totals import MEANS, SECONDS, read_totals

Row = dict[str, Any]
"""A cell's results, every value one that JSON takes."""

COLUMNS = (
    *("cell", "configuration", "model", "task", "length", "protocol", "allocator", "scorer", "ratio", "keep_tokens"),
    *("n", "score", "stderr", "status", *MEANS, "ttft_s", "tpot_s"),
    *("allocator_args", "scorer_args", "dtype", "seed", "samples_asked", "error", "model_revision", "profile_hash"),
    *("sink", "window", "prefill_s", "evict_s", "code_version", "label", "task_version", "data_revision", "spec"),
    *("events", "n_failed", "n_timed", "machine", "environment"),
)
"""The columns of a row, in order."""

_SUMMARY = ("n", "n_failed", "n_covered", "n_timed", "answer_error", "machine", "environment", *MEANS, *SECONDS)
_MEANS = (*MEANS, *SECONDS)
_NUMBERS = frozenset((float, int, NoneType))
_in_order, _means_of = itemgetter(*COLUMNS), itemgetter(*_MEANS)
_OF_COMPLETE = ("score", "stderr", *MEANS, *SECONDS, "machine", "environment")
"""Columns that are null unless the cell is complete."""


def read_results(db: Database, cells: Sequence[str] | None = None) -> list[Row]:
    """One row per cell (those named, or all), with COLUMNS, in an order that depends on their content only.

    - `n` counts done answers, `n_failed` failed ones; `error` is the cell's own, or a failed answer's.
    - `score` [0, 100] and `stderr` are over the samples asked for; kv tokens, kv bytes and seconds are means over
      the answers. All of these are null unless `status` is "complete".
    - Seconds are those of one `machine`: the one that timed most of the cell's answers, `n_timed` of them. They are
      indicative: an accuracy run shares one prefill among many cells. `environment` is null where the packages of that
      machine changed between its answers.
    - `ratio` is the share pruned: 0 for a full cache, null where the budget is in `keep_tokens` per head.
    - `events` says on how many answers each event was recorded: {"truncated_middle": 2}.
    - `status` "unreadable" is a cell with a value that another program broke: `error` names the value.
    """
    if cells is None:
        return read_results_where(db, None)
    rows: list[Row] = []
    with db.reading() as connection:
        for some in portions([*dict.fromkeys(cells)]):
            rows += _read_some(connection, Cell.id.in_(some))
    return sorted(rows, key=_order)


def read_results_where(db: Database, condition: ColumnElement[bool] | None) -> list[Row]:
    """The rows of `read_results` for the cells that a condition on `Cell` selects; None = all."""
    with db.reading() as connection:
        return sorted(_read_some(connection, condition), key=_order)


def _read_some(connection: Connection, condition: ColumnElement[bool] | None) -> Iterator[Row]:
    stored = _stored_cells(connection, condition)
    lacking = [str(row["cell"]) for row in stored if row["n"] is None]
    totals = {each["cell_id"]: each for some in portions(lacking) for each in read_totals(connection, some)}
    used = None if condition is None else {str(row["configuration"]) for row in stored}
    configurations = read_configurations(connection, used)
    for row in stored:
        configuration = configurations.get(row["configuration"]) or missing_configuration(str(row["configuration"]))
        yield _row(row | totals.get(row["cell"], {}), configuration)


def _stored_cells(connection: Connection, condition: ColumnElement[bool] | None) -> list[Row]:
    """Cells as stored, with their summaries; those that have none lack `n`."""
    columns = [
        *(column.as_stored.label(name) for name, column in OF_CELL.items()),
        Cell.error.label("error"),
        *(CellSummary.__table__.c[name] for name in _SUMMARY),
        cast(CellSummary.events, Text).label("events"),
    ]
    query = select(*columns).outerjoin(CellSummary, CellSummary.cell_id == Cell.id)
    if condition is not None:
        query = query.where(condition)
    names = [*(column.name for column in columns), "broken_events"]
    return [dict(zip(names, (*row, None), strict=True)) for row in read_rows(connection, query)]


def _row(stored: Row, configuration: ReadValues) -> Row:
    """A cell's row; with a value that cannot be read its status is "unreadable"."""
    cell = read_values(OF_CELL, stored, {"cell": str(stored["cell"])})
    reason = stored["answer_error"] if stored["error"] is None else stored["error"]
    row = stored | configuration.values | cell.values
    row |= {"status": status(stored), "error": None if reason is None else str(reason), "events": _events(stored)}
    errors = [*configuration.errors, *cell.errors]
    errors += [] if stored["broken_events"] is None else [stored["broken_events"]]
    errors += _broken_means(row)
    if errors:
        row |= {"status": "unreadable", "error": "; ".join(errors)}
    if row["status"] != "complete":
        row |= dict.fromkeys(_OF_COMPLETE)
    return dict(zip(COLUMNS, _in_order(row), strict=True))


def _events(stored: Row) -> dict[str, int]:
    events = stored["events"]
    counts = _event_counts(events) if isinstance(events, str) else events
    return dict(counts) if isinstance(counts, dict) else {}


@lru_cache(maxsize=1024)
def _event_counts(text: str) -> Any:
    """A stored text, parsed; most summaries have one of a few."""
    return parsed(text)


def _broken_means(row: Row) -> list[str]:
    """A sentence for each mean that is not a number."""
    means = _means_of(row)
    if _NUMBERS.issuperset(map(type, means)) and isfinite(sum(filter(None, means))):  # one look at all of them
        return []
    finite = [mean is None or (isinstance(mean, int | float) and isfinite(mean)) for mean in means]
    return [f'the mean of "{name}" is not a number' for name, good in zip(_MEANS, finite, strict=True) if not good]


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """By task, length, model and budget (ratios first); full, then uniform, then the others by name; by scorer."""
    first = {"full": 0, "uniform": 1}
    return (
        *(row["task"], row["length"] or 0, row["model"], row["model_revision"]),
        *(row["ratio"] is None, row["ratio"] or 0.0, row["keep_tokens"] or 0),
        *(first.get(row["allocator"], 2), row["allocator"], row["scorer"] or ""),
        *(row["protocol"], row["label"], row["cell"]),
    )
