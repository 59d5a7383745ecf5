"""Measurements of cost, with the score of the same configuration on the same task where there is one."""

import pandas as pd
from sqlalchemy import select

from ..comparable import Setting
from ..cost_rows import COST_COLUMNS, read_costs
from ..database import Database
from ..labels import budget_label, method_name
from ..results import Row, read_results_where
from ..schema import Cell, Cost

COST_FRAME_COLUMNS = (
    *(name for name in COST_COLUMNS if name not in ("repeats", "batch_repeats")),
    *("method", "budget", "setting", "score"),
)
_PLACE = ("configuration", "task", "task_version", "data_revision", "length")


def read_cost_frame(db: Database) -> pd.DataFrame:
    """A row per measurement with COST_FRAME_COLUMNS, in the order of `read_costs`.

    `setting` is what rows must share to be compared, in words; `score` [0, 100] is that of the complete cell of the
    same configuration on the same task, None where there is none.
    """
    rows = [row for row in read_costs(db) if row["status"] != "unreadable"]
    scores = _scores(db) if rows else {}
    return pd.DataFrame([_row(row, scores) for row in rows], columns=list(COST_FRAME_COLUMNS), dtype="object")


def _row(row: Row, scores: dict[tuple[object, ...], float]) -> Row:
    return {name: row[name] for name in COST_FRAME_COLUMNS if name in row} | {
        "method": method_name(row),
        "budget": budget_label(row),
        "setting": Setting.of(row).title,
        "score": scores.get(tuple(row[name] for name in _PLACE)),
    }


def _scores(db: Database) -> dict[tuple[object, ...], float]:
    """The scores of complete cells whose configuration was measured, by configuration and task."""
    cells = read_results_where(db, Cell.configuration_id.in_(select(Cost.configuration_id)))
    return {tuple(row[name] for name in _PLACE): row["score"] for row in cells if row["score"] is not None}
