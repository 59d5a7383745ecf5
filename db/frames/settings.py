"""What can be ranked: the settings in a database, with the tasks that each has results on."""

from typing import Any

import pandas as pd
from sqlalchemy import CTE, exists, func, select

from ..comparable import SETTING, Setting
from ..database import Database
from ..schema import Cell, Configuration, Model

SETTINGS_COLUMNS = ("key", *SETTING, "title", "n_configurations", "n_cells", "tasks")


def read_settings(db: Database) -> pd.DataFrame:
    """A row per setting, with SETTINGS_COLUMNS, the ones with most cells first.

    `key` stands for the setting in a link; `tasks` is a list of (task, length), the length None where a task has none.
    Cells whose configuration cannot be read belong to no setting.
    """
    numbered = _numbered()
    has_cells = exists().where(Cell.configuration_id == Configuration.id)
    values = [Model.name.label("model"), *(getattr(Configuration, name) for name in SETTING[1:])]
    settings = (
        select(numbered.c.number, *values, func.count().label("n_configurations"))
        .select_from(numbered)
        .join(Configuration, Configuration.id == numbered.c.id)
        .join(Model, Model.revision == Configuration.model_revision)
        .where(has_cells)
        .group_by(numbered.c.number, *values)
    )
    tasks = (
        select(numbered.c.number, Cell.task, Cell.length, func.count(Cell.configuration_id))
        .select_from(numbered)
        .outerjoin(Cell, Cell.configuration_id == numbered.c.id)  # keeps SQLite from beginning with the cells
        .group_by(numbered.c.number, Cell.task, Cell.length)
    )
    rows: dict[int, dict[str, Any]] = {}
    with db.reading() as connection:
        for row in connection.execute(settings).mappings():
            if (setting := _setting(row)) is not None:
                about = {"key": setting.key, "title": setting.title, "n_configurations": row["n_configurations"]}
                rows[row["number"]] = setting._asdict() | about | {"n_cells": 0, "tasks": []}
        for number, task, length, n_cells in connection.execute(tasks):
            if number in rows and n_cells:
                rows[number]["n_cells"] += n_cells
                rows[number]["tasks"].append((str(task), length))
    for found in rows.values():
        found["tasks"].sort(key=lambda pair: (pair[0], pair[1] or 0))
    ordered = sorted(rows.values(), key=lambda each: (-each["n_cells"], each["title"]))
    return pd.DataFrame(ordered, columns=list(SETTINGS_COLUMNS))


def _numbered() -> CTE:
    """Every configuration with the number of its setting: many cells are grouped by numbers sooner than by texts."""
    place = [getattr(Configuration, name) for name in SETTING[1:]]
    return select(Configuration.id, func.dense_rank().over(order_by=place).label("number")).cte("numbered")


def _setting(row: Any) -> Setting | None:
    """None where another program broke a value."""
    try:
        return Setting.of(row)
    except ValueError:
        return None
