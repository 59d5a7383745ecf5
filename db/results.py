"""A row per cell, as plain values: what `results` shows and what the frames are made of."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import product
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
from .totals import COUNTS, MEANS, MEASURES, SECONDS, read_totals

Row = dict[str, Any]
"""A cell's results, every value one that JSON takes."""

COLUMNS = (
    *("cell", "configuration", "model", "task", "length", "protocol", "allocator", "scorer", "ratio", "keep_tokens"),
    *("n", "score", "stderr", "status", *MEANS, "ttft_s", "tpot_s"),
    *("allocator_args", "scorer_args", "dtype", "seed", "samples_asked", "error", "model_revision", "profile_hash"),
    *("sink", "window", "prefill_s", "evict_s", "code_version", "label", "task_version", "data_revision", "spec"),
    *("events", "n_failed", "n_timed", "machine", "environment", *MEASURES, *COUNTS),
    *("kept_hash", "is_oracle"),
)
"""The columns of a row, in order."""

_MEANS = (*MEANS, *SECONDS, *MEASURES)
_SUMMARY = (
    *("n", "n_failed", "n_covered", "n_timed", "answer_error", "machine", "environment"),
    *(*_MEANS, *COUNTS, "kept_hash"),
)
_TOTALS = (*_SUMMARY, "events", "broken_events")
_OF_COMPLETE = ("score", "stderr", *_MEANS, "machine", "environment")
"""Columns that are null unless the cell is complete."""

_NUMBERS = ("score", "stderr", *_MEANS)
_OTHERS = tuple(name for name in OF_CELL if name not in _NUMBERS)
_NUMERIC = frozenset((float, int, NoneType))
_KINDS = frozenset(product(*((OF_CELL[name].kind, *[NoneType] * OF_CELL[name].nullable) for name in _OTHERS)))
_numbers_of, _others_of = itemgetter(*_NUMBERS), itemgetter(*_OTHERS)
_REPEATED = ("configuration", "task", "task_version", "data_revision", "machine", "environment")
"""Texts that many cells have: kept in memory once."""


def read_results(db: Database, cells: Sequence[str] | None = None) -> list[Row]:
    """One row per cell (those named, or all), with COLUMNS, in an order that depends on their content only.

    - `n` counts done answers, `n_failed` failed ones; `error` is the cell's own, or a failed answer's.
    - `score` [0, 100] and `stderr` are over the samples asked for; kv tokens, kv bytes and seconds are means over
      the answers. All of these are null unless `status` is "complete".
    - Seconds are those of one `machine`: the one that timed most of the cell's answers, `n_timed` of them. They are
      indicative: an accuracy run shares one prefill among many cells. `environment` is null where the packages of that
      machine changed between its answers.
    - `ratio` is the share pruned: 0 for a full cache, null where the budget is in `keep_tokens` per head.
    - Means of fidelity and evidence are over those answers that have some, `n_fidelity` and `n_evidence` of them.
    - `kept_hash` is equal for complete cells that kept the same positions of the same samples; null where that is not
      known.
    - `is_oracle` is whether the configuration read what the reference answer attends to: it is ranked nowhere.
    - `events` says on how many answers each event was recorded: {"truncated_middle": 2}.
    - `status` "unreadable" is a cell with a value that another program broke: `error` names the value.
    """
    if cells is None:
        return read_results_where(db, None)
    rows: list[Row] = []
    with db.reading() as connection:
        for some in portions([*dict.fromkeys(cells)]):
            rows += _read_some(connection, Cell.id.in_(some))
    return _in_order(rows)


def read_results_where(db: Database, condition: ColumnElement[bool] | None) -> list[Row]:
    """The rows of `read_results` for the cells that a condition on `Cell` selects; None = all."""
    with db.reading() as connection:
        return _in_order(_read_some(connection, condition))


def _read_some(connection: Connection, condition: ColumnElement[bool] | None) -> Iterator[Row]:
    stored = _stored_cells(connection, condition)
    lacking = [str(row["cell"]) for row in stored if row["n"] is None]
    totals = {
        each["cell_id"]: {name: each[name] for name in _TOTALS}
        for some in portions(lacking)
        for each in read_totals(connection, some)
    }
    used = None if condition is None else {str(row["configuration"]) for row in stored}
    configurations = read_configurations(connection, used)
    templates = {name: _template(read) for name, read in configurations.items()}
    for row in stored:
        template = templates.get(row["configuration"])
        if template is None:
            template = _template(missing_configuration(str(row["configuration"])))
        yield _row(row | totals.get(row["cell"], {}), template)


def _template(configuration: ReadValues) -> ReadValues:
    """What the rows of a configuration share; their other columns are null."""
    return ReadValues(dict.fromkeys(COLUMNS) | configuration.values, configuration.errors)


def _stored_cells(connection: Connection, condition: ColumnElement[bool] | None) -> list[Row]:
    """Cells as stored, with their summaries; those that have none lack `n`."""
    of_cell = [*(column.as_stored.label(name) for name, column in OF_CELL.items()), Cell.error.label("error")]
    of_summary = [
        *(CellSummary.__table__.c[name] for name in _SUMMARY),
        cast(CellSummary.events, Text).label("events"),
    ]
    cells, summaries = select(*of_cell), select(CellSummary.cell_id, *of_summary)
    if condition is not None:
        cells = cells.where(condition)
        summaries = summaries.where(CellSummary.cell_id.in_(select(Cell.id).where(condition)))
    found = {cell: values for cell, *values in read_rows(connection, summaries)}  # a join would seek each one
    lacking = [None] * len(of_summary)
    names = [*(column.name for column in (*of_cell, *of_summary)), "broken_events"]
    rows = [
        dict(zip(names, (*row, *found.pop(row[0], lacking), None), strict=True)) for row in read_rows(connection, cells)
    ]
    for name in _REPEATED:
        once: dict[Any, Any] = {}
        for row in rows:
            row[name] = once.setdefault(row[name], row[name])
    return rows


def _row(stored: Row, configuration: ReadValues) -> Row:
    """A cell's row; with a value that cannot be read its status is "unreadable".

    Args:
        stored: The cell with what its answers amount to.
        configuration: With a place for every column.
    """
    row = configuration.values | stored
    error, answer_error = stored["error"], row.pop("answer_error")
    reason = answer_error if error is None else error
    row["error"] = None if reason is None else str(reason)
    row["status"] = status(stored)
    row["events"] = _events(stored)
    del row["n_covered"]
    broken_events = row.pop("broken_events")
    errors = [*configuration.errors]
    is_plain = _is_plain(stored)
    if not is_plain:
        cell = read_values(OF_CELL, stored, {"cell": str(stored["cell"])})
        row |= cell.values
        errors += cell.errors
    errors += [] if broken_events is None else [broken_events]
    errors += [] if is_plain else _broken_means(row)
    if errors:
        row |= {"status": "unreadable", "error": "; ".join(errors)}
    if row["status"] != "complete":
        row |= dict.fromkeys(_OF_COMPLETE)
    return row


def _is_plain(stored: Row) -> bool:
    """Whether a glance shows that every value is what its column is for: most are, and there are many."""
    numbers = _numbers_of(stored)
    return (
        tuple(map(type, _others_of(stored))) in _KINDS
        and _NUMERIC.issuperset(map(type, numbers))
        and isfinite(sum(filter(None, numbers)))
    )


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
    finite = {name: row[name] is None or _is_finite(row[name]) for name in _MEANS}
    return [f'the mean of "{name}" is not a number' for name, good in finite.items() if not good]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _in_order(rows: Iterable[Row]) -> list[Row]:
    """By task, length, model and budget (ratios first); full, then uniform, then the others by name; by scorer."""
    of_configuration: dict[str, tuple[Any, ...]] = {}

    def key(row: Row) -> tuple[Any, ...]:
        name = row["configuration"]
        if name not in of_configuration:
            of_configuration[name] = _key(row)
        return row["task"], row["length"] or 0, of_configuration[name], row["cell"]

    return sorted(rows, key=key)


def _key(row: Row) -> tuple[Any, ...]:
    """The place of a configuration among others."""
    first = {"full": 0, "uniform": 1}
    return (
        *(row["model"], row["model_revision"], row["ratio"] is None, row["ratio"] or 0.0, row["keep_tokens"] or 0),
        *(first.get(row["allocator"], 2), row["allocator"], row["scorer"] or ""),
        *(row["protocol"], row["label"]),
    )
