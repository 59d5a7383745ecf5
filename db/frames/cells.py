"""The results of one setting: what is ranked on the same page."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sqlalchemy import ColumnElement, select

from ..comparable import Setting
from ..database import Database
from ..labels import allocator_label, budget_label, scorer_label
from ..queries import RESULTS_COLUMNS, rows_frame
from ..results import Row, read_results_where
from ..schema import Cell, Configuration
from ..statistics.intervals import cell_intervals
from .conditions import has_setting

CELLS_COLUMNS = (*RESULTS_COLUMNS, "method", "budget", "interval_low", "interval_high")


def read_cells(db: Database, setting: Setting, tasks: Sequence[str] | None = None) -> pd.DataFrame:
    """A row per cell of a setting (on some tasks, or on all), with CELLS_COLUMNS.

    - `method` is "allocator x scorer" as one would type it, or the allocator alone; `budget` "prune 0.8", "keep 256"
      or "-".
    - The interval is `cell_intervals`', of 95%; missing unless `status` is "complete".
    - The other columns are those of `db.results.read_results`.
    """
    rows = read_results_where(db, _in_setting(setting, tasks))
    labels = {row["configuration"]: row for row in rows}
    labels = {configuration: _labels(row) for configuration, row in labels.items()}
    frame = rows_frame([row | labels[row["configuration"]] for row in rows], CELLS_COLUMNS[:-2])
    low, high = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    scored = frame["score"].notna().to_numpy() & (frame["n"] > 0).to_numpy()
    score, n = frame["score"].to_numpy()[scored], frame["n"].to_numpy()[scored]
    stderr = frame["stderr"].fillna(0.0).to_numpy()[scored]
    squares = n * (score**2 + (n - 1) * stderr**2)
    low[scored], high[scored] = cell_intervals(n * score, squares, n)
    return frame.assign(interval_low=low, interval_high=high)


def _labels(row: Row) -> Row:
    scorer = None if row["scorer"] is None else scorer_label(row)
    method = allocator_label(row) if scorer is None else f"{allocator_label(row)} x {scorer}"
    return {"method": method, "budget": budget_label(row)}


def _in_setting(setting: Setting, tasks: Sequence[str] | None) -> ColumnElement[bool]:
    cells = select(Cell.id).join(Configuration, Configuration.id == Cell.configuration_id).where(has_setting(setting))
    return Cell.id.in_(cells if tasks is None else cells.where(Cell.task.in_(tasks)))
