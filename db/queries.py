"""The record, as data frames."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    RowMapping,
    Select,
    Subquery,
    Text,
    and_,
    case,
    cast,
    func,
    select,
)

from .schema import Answer, Cell, Configuration, Model, Run, Sample, Timing
from .seconds import timed_environments
from .standing import DONE, n_covered, n_done, n_failed, status
from .store import Store

_MEANS = {
    "kv_tokens_full": Answer.kv_tokens_full,
    "kv_tokens_kept": Answer.kv_tokens_kept,
    "kv_bytes_full": Answer.kv_bytes_full,
    "kv_bytes_kept": Answer.kv_bytes_kept,
}

_SECONDS = {
    "ttft_s": Timing.ttft_s,
    "tpot_s": Timing.tpot_s,
    "prefill_s": Timing.prefill_s,
    "evict_s": Timing.evict_s,
}

_DTYPES = {
    "cell": "object",
    "configuration": "object",
    "model": "object",
    "task": "object",
    "length": "Int64",
    "protocol": "object",
    "allocator": "object",
    "scorer": "object",
    "ratio": "float64",
    "keep_tokens": "Int64",
    "n": "int64",
    "score": "float64",
    "stderr": "float64",
    "status": "object",
    "kv_tokens_full": "float64",
    "kv_tokens_kept": "float64",
    "kv_bytes_full": "float64",
    "kv_bytes_kept": "float64",
    "ttft_s": "float64",
    "tpot_s": "float64",
    "allocator_args": "object",
    "scorer_args": "object",
    "dtype": "object",
    "seed": "int64",
    "samples_asked": "int64",
    "n_failed": "int64",
    "error": "object",
    "model_revision": "object",
    "profile_hash": "object",
    "sink": "int64",
    "window": "Int64",
    "prefill_s": "float64",
    "evict_s": "float64",
    "environment": "object",
    "code_version": "object",
    "label": "object",
    "task_version": "object",
    "data_revision": "object",
    "spec": "object",
    "events": "object",
}
"""The columns of `results_frame`, in order. Text is of dtype object, so that a missing one is None in any pandas."""

RESULTS_COLUMNS = tuple(_DTYPES)


def results_frame(store: Store, cells: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per cell (those named, or all), with RESULTS_COLUMNS, in an order that depends on their content only.

    `n` counts done answers, `n_failed` failed ones; `error` is the cell's own, or that of one of its failed answers.
    `score` [0, 100] and `stderr` are over the samples asked for; kv tokens, kv bytes and seconds are means over the
    answers. All of these are null unless `status` is "complete".
    Seconds are indicative, an accuracy run shares one prefill among many cells, and of one environment only, whose id
    is in `environment`: the one that gave most of the cell's answers.
    `ratio` is the share pruned: 0 for a full cache, null where the budget is in `keep_tokens` per head.
    `events` says on how many answers each event was recorded: {"truncated_middle": 2}.
    """
    query = _results(_totals())
    if cells is not None:
        query = query.where(Cell.id.in_(cells))
    with store.reading() as connection:
        rows = [_result(row) for row in connection.execute(query).mappings()]
        told = _events(connection, cells)
    for row in rows:
        row["events"] = told.get(row["cell"], {})
    rows.sort(key=_order)
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=dtype) for name, dtype in _DTYPES.items()})


def scores_frame(store: Store, cells: Sequence[str]) -> pd.DataFrame:
    """The scored answers of some cells: columns cell, sample, ordinal and score [0, 100], by cell and ordinal."""
    query = (
        select(Answer.cell_id, Answer.sample_id, Sample.ordinal, (Answer.score * 100.0).label("score"))
        .join(Sample)
        .where(Answer.cell_id.in_(cells), DONE, Answer.score.is_not(None))
        .order_by(Answer.cell_id, Sample.ordinal, Answer.sample_id)
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
    dtypes = {"cell": "object", "sample": "object", "ordinal": "int64", "score": "float64"}
    return pd.DataFrame(
        {name: pd.Series([row[i] for row in rows], dtype=dtype) for i, (name, dtype) in enumerate(dtypes.items())}
    )


def to_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain Python values that JSON takes: None for anything missing, whole numbers as int."""
    columns = {str(name): [_plain(value) for value in frame[name]] for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _totals() -> Subquery:
    """Counts and means of every cell that has answers."""
    timed = timed_environments()
    means = [_mean(DONE, column).label(name) for name, column in _MEANS.items()]
    of_one = and_(DONE, Run.environment_id == timed.c.environment_id)
    seconds = [_mean(of_one, column).label(name) for name, column in _SECONDS.items()]
    return (
        select(
            Answer.cell_id,
            n_done().label("n"),
            n_failed().label("n_failed"),
            n_covered().label("n_covered"),
            func.min(Answer.error).label("answer_error"),
            func.min(timed.c.environment_id).label("environment"),
            *means,
            *seconds,
        )
        .join(Sample, Sample.id == Answer.sample_id)
        .join(Cell, Cell.id == Answer.cell_id)
        .join(Run, Run.id == Answer.run_id)
        .outerjoin(Timing, Timing.answer_id == Answer.id)
        .outerjoin(timed, timed.c.cell_id == Answer.cell_id)
        .group_by(Answer.cell_id)
        .subquery()
    )


def _mean(where: ColumnElement[bool], column: Any) -> ColumnElement[float]:
    return cast(func.avg(case((where, column))), Double)  # PostgreSQL's mean of whole numbers is a Decimal


def _results(totals: Subquery) -> Select[Any]:
    return (
        select(
            Cell.id.label("cell"),
            Cell.configuration_id.label("configuration"),
            Model.name.label("model"),
            Cell.task,
            Cell.task_version,
            Cell.data_revision,
            Cell.length,
            Configuration.__table__,
            func.coalesce(totals.c.n, 0).label("n"),
            func.coalesce(totals.c.n_failed, 0).label("n_failed"),
            Cell.score,
            Cell.stderr,
            status(totals).label("status"),
            *(totals.c[name] for name in (*_MEANS, *_SECONDS, "environment")),
            Cell.samples_asked,
            func.coalesce(Cell.error, totals.c.answer_error).label("error"),
        )
        .join(Configuration, Configuration.id == Cell.configuration_id)
        .join(Model, Model.revision == Configuration.model_revision)
        .outerjoin(totals, totals.c.cell_id == Cell.id)
    )


def _events(connection: Connection, cells: Sequence[str] | None) -> dict[str, dict[str, int]]:
    """By cell, the number of done answers on which each event was recorded."""
    query = select(Answer.cell_id, Answer.events).where(DONE, cast(Answer.events, Text) != "[]")
    if cells is not None:
        query = query.where(Answer.cell_id.in_(cells))
    told: dict[str, Counter[str]] = {}
    for cell, events in connection.execute(query):
        told.setdefault(cell, Counter()).update({str(event.get("event")) for event in events})
    return {cell: dict(sorted(counts.items())) for cell, counts in told.items()}


def _result(row: RowMapping) -> dict[str, Any]:
    result = {name: row[name] for name in _DTYPES if name != "events"}
    if row["ratio"] is not None:
        result["ratio"] = float(row["ratio"])
    elif row["keep_tokens"] is None:
        result["ratio"] = 0.0
    if row["status"] != "complete":
        result |= dict.fromkeys(("score", "stderr", *_MEANS, *_SECONDS, "environment"))
    return result


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """By task, length, model and budget (ratios first); full, then uniform, then the others by name; by scorer."""
    first = {"full": 0, "uniform": 1}
    return (
        *(row["task"], row["length"] or 0, row["model"], row["model_revision"]),
        *(row["ratio"] is None, row["ratio"] or 0.0, row["keep_tokens"] or 0),
        *(first.get(row["allocator"], 2), row["allocator"], row["scorer"] or ""),
        *(row["protocol"], row["label"], row["cell"]),
    )


def _plain(value: object) -> object:
    if isinstance(value, (dict, list, str)):
        return value
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    return value
