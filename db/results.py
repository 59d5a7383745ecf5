"""A row per cell, as plain values: what `results` shows and what the frames are made of."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from sqlalchemy import Connection, Select, func, select

from .database import Database
from .portions import portions
from .readable import Field, Unreadable, field
from .schema import Cell, Configuration, Model
from .standing import status
from .totals import MEANS, SECONDS, of_cells, read_events, read_seconds, totals

Row = dict[str, Any]
"""A cell's results, every value one that JSON takes."""

STORED: Mapping[str, Field] = {
    "cell": field(Cell.id),
    "configuration": field(Cell.configuration_id),
    "model": field(Model.name),
    "task": field(Cell.task),
    "length": field(Cell.length),
    "protocol": field(Configuration.protocol),
    "allocator": field(Configuration.allocator),
    "scorer": field(Configuration.scorer),
    "ratio": field(Configuration.ratio),
    "keep_tokens": field(Configuration.keep_tokens),
    "score": field(Cell.score),
    "stderr": field(Cell.stderr),
    "allocator_args": field(Configuration.allocator_args),
    "scorer_args": field(Configuration.scorer_args),
    "dtype": field(Configuration.dtype),
    "seed": field(Configuration.seed),
    "samples_asked": field(Cell.samples_asked),
    "model_revision": field(Configuration.model_revision),
    "profile_hash": field(Configuration.profile_hash),
    "sink": field(Configuration.sink),
    "window": field(Configuration.window),
    "code_version": field(Configuration.code_version),
    "label": field(Configuration.label),
    "task_version": field(Cell.task_version),
    "data_revision": field(Cell.data_revision),
    "spec": field(Configuration.spec),
}
"""Columns of a row that are read as they stand."""

COLUMNS = (
    *("cell", "configuration", "model", "task", "length", "protocol", "allocator", "scorer", "ratio", "keep_tokens"),
    *("n", "score", "stderr", "status", *MEANS, "ttft_s", "tpot_s"),
    *("allocator_args", "scorer_args", "dtype", "seed", "samples_asked", "error", "model_revision", "profile_hash"),
    *("sink", "window", "prefill_s", "evict_s", "code_version", "label", "task_version", "data_revision", "spec"),
    *("events", "n_failed", "n_timed", "machine", "environment"),
)
"""The columns of a row, in order."""

_KEYS = {"cell": "cell", "configuration": "configuration", "model": "model_revision"}
"""The column of a row that holds its key, by table."""


def read_results(store: Database, cells: Sequence[str] | None = None) -> list[Row]:
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
    rows: list[Row] = []
    with store.reading() as connection:
        for some in [None] if cells is None else portions([*dict.fromkeys(cells)]):
            rows += _read_some(connection, some)
    return sorted(rows, key=_order)


def _read_some(connection: Connection, cells: Sequence[str] | None) -> Iterator[Row]:
    events, broken = read_events(connection, cells)
    stored_rows = connection.execute(of_cells(_results(), Cell.id, cells)).mappings().all()
    several = [row["cell"] for row in stored_rows if row["machine"] != row["_other_machine"]]
    seconds = {cell: timed for some in portions(several) for cell, timed in read_seconds(connection, some).items()}
    for stored in stored_rows:
        row, errors = _row(dict(stored) | seconds.get(stored["cell"], {}))
        row["events"] = dict(sorted(events.get(row["cell"], {}).items()))
        errors += [broken[row["cell"]]] if row["cell"] in broken else []
        errors += [f'the mean of "{name}" is not a number' for name in (*MEANS, *SECONDS) if not _is_finite(row[name])]
        if errors:
            row |= {"status": "unreadable", "error": "; ".join(errors)}
        if row["status"] != "complete":
            row |= dict.fromkeys(("score", "stderr", *MEANS, *SECONDS, "machine", "environment"))
        yield {name: row[name] for name in COLUMNS}


def _results() -> Select[Any]:
    """Outer joins: a cell whose configuration is gone is shown as unreadable, not left out."""
    summed = totals()
    return (
        select(
            *(stored.as_stored.label(name) for name, stored in STORED.items()),
            Configuration.id.label("_configuration"),
            Model.revision.label("_model"),
            func.coalesce(summed.c.n, 0).label("n"),
            func.coalesce(summed.c.n_failed, 0).label("n_failed"),
            func.coalesce(summed.c.n_timed, 0).label("n_timed"),
            summed.c.machine,
            summed.c.other_machine.label("_other_machine"),
            summed.c.environment,
            status(summed).label("status"),
            *(summed.c[name] for name in (*MEANS, *SECONDS)),
            func.coalesce(Cell.error, summed.c.answer_error).label("error"),
        )
        .select_from(Cell)
        .outerjoin(Configuration, Configuration.id == Cell.configuration_id)
        .outerjoin(Model, Model.revision == Configuration.model_revision)
        .outerjoin(summed, summed.c.cell_id == Cell.id)
    )


def _row(row: Row) -> tuple[Row, list[str]]:
    """The selected values of a row, with a placeholder and a sentence for each that cannot be read."""
    row["error"] = None if row["error"] is None else str(row["error"])
    keys = {table: str(row[key]) for table, key in _KEYS.items()}
    missing = [table for table, key in (("configuration", "_configuration"), ("model", "_model")) if not row[key]]
    errors = [f'row {keys[table][:12]} of table "{table}" is missing' for table in missing[:1]]
    for name, column in STORED.items():
        try:
            row[name] = column.placeholder if column.table in missing else column.read(row[name], keys[column.table])
        except Unreadable as error:
            row[name] = column.placeholder
            errors.append(str(error))
    try:
        row["ratio"] = _ratio(row)
    except ValueError:
        errors.append(f'"ratio" of row {keys["configuration"][:12]} in table "configuration" is not a share')
        row["ratio"] = None
    return row, errors


def _ratio(row: Mapping[str, Any]) -> float | None:
    """The share pruned. ValueError for a stored text that is none."""
    if row["ratio"] is None:
        return 0.0 if row["keep_tokens"] is None else None
    ratio = float(row["ratio"])
    if not 0 <= ratio < 1:
        raise ValueError
    return ratio


def _is_finite(value: float | None) -> bool:
    return value is None or isfinite(value)


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """By task, length, model and budget (ratios first); full, then uniform, then the others by name; by scorer."""
    first = {"full": 0, "uniform": 1}
    return (
        *(row["task"], row["length"] or 0, row["model"], row["model_revision"]),
        *(row["ratio"] is None, row["ratio"] or 0.0, row["keep_tokens"] or 0),
        *(first.get(row["allocator"], 2), row["allocator"], row["scorer"] or ""),
        *(row["protocol"], row["label"], row["cell"]),
    )
