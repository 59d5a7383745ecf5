"""What methods and tasks are, as the runs recorded it."""

import pandas as pd
from sqlalchemy import Text, cast, select

from ..database import Database
from ..readable import parsed
from ..schema import MethodPage, Task

METHOD_COLUMNS = ("kind", "name", "distribution", "version", "summary", "source", "details", "arguments")
TASK_COLUMNS = ("name", "version", "family", "metric", "summary", "source")


def read_method_pages(db: Database) -> pd.DataFrame:
    """A row per plugin and version with METHOD_COLUMNS, allocators first.

    `details` is Markdown, None in a row of an older version; `arguments` a list of {"name", "type", "default",
    "required", "meaning"}, empty where the stored value is none.
    """
    columns = [getattr(MethodPage, name) for name in METHOD_COLUMNS[:-1]]
    query = select(*columns, cast(MethodPage.arguments, Text).label("arguments"))
    with db.reading() as connection:
        rows = [dict(row) for row in connection.execute(query.order_by(*columns[:4])).mappings()]
    for row in rows:
        arguments = parsed(row["arguments"])
        row["arguments"] = [each for each in arguments if isinstance(each, dict)] if isinstance(arguments, list) else []
    return pd.DataFrame(rows, columns=list(METHOD_COLUMNS), dtype="object")


def read_task_pages(db: Database) -> pd.DataFrame:
    """A row per task and version with TASK_COLUMNS, by family and name."""
    columns = [getattr(Task, name) for name in TASK_COLUMNS]
    query = select(*columns).order_by(Task.family, Task.name, Task.version)
    with db.reading() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return pd.DataFrame(rows, columns=list(TASK_COLUMNS), dtype="object")
