"""What the record says about a setting, its tasks and its machines."""

import pandas as pd

from ..view import View


def setting_table(view: View) -> pd.DataFrame:
    """The setting, a row per property."""
    rows = {name.replace("_", " "): str(value) for name, value in view.setting._asdict().items()}
    rows |= {
        "configurations": str(view.pool["configuration"].nunique()),
        "results": str(len(view.pool)),
        "of them complete": str(int((view.pool["status"] == "complete").sum())),
        "answers": str(int(view.pool["n"].sum())),
    }
    return pd.DataFrame({"property": list(rows), "value": list(rows.values())})


def tasks_table(pool: pd.DataFrame, pages: pd.DataFrame) -> pd.DataFrame:
    """A row per task of a setting, with what its definition said; samples are those of the largest result.

    Args:
        pool: With the columns of `read_cells`.
        pages: Of `read_task_pages`.
    """
    groups = pool.groupby(["task", "task_version"], sort=True)
    sizes = groups.agg(
        lengths=("length", lambda column: ", ".join(str(each) for each in sorted(column.dropna().unique()))),
        samples=("samples_asked", "max"),
    )
    pages = pages.set_index(["name", "version"])[["family", "metric", "summary", "source"]]
    return sizes.join(pages, on=["task", "task_version"]).reset_index().rename(columns={"task_version": "version"})


def environments_table(environments: pd.DataFrame) -> pd.DataFrame:
    """A row per environment, packages as a text."""
    packages = [", ".join(f"{name} {version}" for name, version in each.items()) for each in environments["packages"]]
    days = {
        name: environments[name].map(lambda moment: f"{moment:%Y-%m-%d}") for name in ("first_run_at", "last_run_at")
    }
    return environments.assign(packages=packages, **days)
