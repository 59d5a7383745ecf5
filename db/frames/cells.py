"""The results of one setting: what is ranked on the same page."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sqlalchemy import ColumnElement, select

from ..clustering import read_shared_intervals
from ..comparable import Setting
from ..database import Database
from ..labels import budget_label, method_name
from ..queries import RESULTS_COLUMNS, rows_frame
from ..results import read_results_where
from ..schema import Cell, Configuration
from ..statistics.intervals import cell_intervals
from .conditions import has_setting

CELLS_COLUMNS = (*RESULTS_COLUMNS, "method", "budget", "interval_low", "interval_high")


def read_cells(db: Database, setting: Setting, tasks: Sequence[str] | None = None) -> pd.DataFrame:
    """A row per cell of a setting (on some tasks, or on all), with CELLS_COLUMNS.

    - `method` is "allocator x scorer" as one would type it, or the allocator alone; `budget` "prune 0.8", "keep 256"
      or "-".
    - The interval is `cell_intervals`', of 95%, and `score_intervals`' where samples share documents; missing unless
      `status` is "complete".
    - The other columns are those of `db.results.read_results`.
    """
    rows = read_results_where(db, _in_setting(setting, tasks))
    configurations = {row["configuration"]: row for row in rows}
    labels = {each: {"method": method_name(row), "budget": budget_label(row)} for each, row in configurations.items()}
    frame = rows_frame([row | labels[row["configuration"]] for row in rows], CELLS_COLUMNS[:-2])
    low, high = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    scored = frame["score"].notna().to_numpy() & (frame["n"] > 0).to_numpy()
    score, n = frame["score"].to_numpy()[scored], frame["n"].to_numpy()[scored]
    stderr = frame["stderr"].fillna(0.0).to_numpy()[scored]
    squares = n * (score**2 + (n - 1) * stderr**2)
    low[scored], high[scored] = cell_intervals(n * score, squares, n)
    place = {cell: number for number, cell in enumerate(frame["cell"])}
    for cell, interval in read_shared_intervals(db, frame["cell"][scored].tolist()).items():
        low[place[cell]], high[place[cell]] = interval
    return frame.assign(interval_low=low, interval_high=high)


def _in_setting(setting: Setting, tasks: Sequence[str] | None) -> ColumnElement[bool]:
    cells = select(Cell.id).join(Configuration, Configuration.id == Cell.configuration_id).where(has_setting(setting))
    return Cell.id.in_(cells if tasks is None else cells.where(Cell.task.in_(tasks)))
