"""The machines and packages that the runs used."""

from typing import Any

import pandas as pd
from sqlalchemy import Text, cast, func, select

from ..database import Database
from ..readable import parsed
from ..schema import Environment, Run

ENVIRONMENT_COLUMNS = (
    *("environment", "machine", "device", "python", "platform", "packages", "n_runs", "first_run_at", "last_run_at"),
)


def read_environments(db: Database) -> pd.DataFrame:
    """A row per environment with ENVIRONMENT_COLUMNS, that of the latest run first.

    `packages` is a mapping from names to versions, empty where the stored value is none; the moments are in UTC.
    """
    columns = [Environment.machine, Environment.device, Environment.python, Environment.platform]
    query = (
        select(
            Environment.id.label("environment"),
            *columns,
            cast(Environment.packages, Text).label("packages"),
            func.count(Run.id).label("n_runs"),
            func.min(Run.started_at).label("first_run_at"),
            func.max(Run.started_at).label("last_run_at"),
        )
        .join(Run, Run.environment_id == Environment.id)
        .group_by(Environment.id, *columns, cast(Environment.packages, Text))
        .order_by(func.max(Run.started_at).desc(), Environment.id)
    )
    with db.reading() as connection:
        rows: list[dict[str, Any]] = [dict(row) for row in connection.execute(query).mappings()]
    for row in rows:
        packages = parsed(row["packages"])
        row["packages"] = packages if isinstance(packages, dict) else {}
    return pd.DataFrame(rows, columns=list(ENVIRONMENT_COLUMNS), dtype="object")
