"""What can be ranked: the settings in a database, with the tasks that each has results on."""

from typing import Any

import pandas as pd
from sqlalchemy import distinct, func, select

from ..comparable import SETTING, Setting
from ..database import Database
from ..schema import Cell, Configuration, Model

SETTINGS_COLUMNS = ("key", *SETTING, "title", "n_configurations", "n_cells", "tasks")


def read_settings(db: Database) -> pd.DataFrame:
    """A row per setting, with SETTINGS_COLUMNS, the ones with most cells first.

    `key` stands for the setting in a link; `tasks` is a list of (task, length), the length None where a task has none.
    Cells whose configuration cannot be read belong to no setting.
    """
    place = [Model.name.label("model"), *(getattr(Configuration, name) for name in SETTING[1:])]
    cells = (
        select(*place, Cell.task, Cell.length, func.count().label("n_cells"))
        .select_from(Cell)
        .join(Configuration, Configuration.id == Cell.configuration_id)
        .join(Model, Model.revision == Configuration.model_revision)
        .group_by(*place, Cell.task, Cell.length)
    )
    sizes = (
        select(*place, func.count(distinct(Cell.configuration_id)).label("n_configurations"))
        .select_from(Cell)
        .join(Configuration, Configuration.id == Cell.configuration_id)
        .join(Model, Model.revision == Configuration.model_revision)
        .group_by(*place)
    )
    rows: dict[Setting, dict[str, Any]] = {}
    with db.reading() as connection:
        for size in connection.execute(sizes).mappings():
            if (setting := _setting(size)) is not None:
                row = setting._asdict() | {"key": setting.key, "title": setting.title, "n_cells": 0, "tasks": []}
                rows[setting] = row | {"n_configurations": size["n_configurations"]}
        for task in connection.execute(cells).mappings():
            if (setting := _setting(task)) is not None:
                rows[setting]["n_cells"] += task["n_cells"]
                rows[setting]["tasks"].append((str(task["task"]), task["length"]))
    for row in rows.values():
        row["tasks"].sort(key=lambda pair: (pair[0], pair[1] or 0))
    ordered = sorted(rows.values(), key=lambda row: (-row["n_cells"], row["title"]))
    return pd.DataFrame(ordered, columns=list(SETTINGS_COLUMNS))


def _setting(row: Any) -> Setting | None:
    """None where another program broke a value."""
    try:
        return Setting.of(row)
    except ValueError:
        return None
