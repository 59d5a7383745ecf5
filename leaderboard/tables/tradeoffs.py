"""What the trade-offs are drawn from."""

from collections.abc import Collection

import pandas as pd

from ...db.areas import area_frame
from ...db.statistics.frontier import frontier_band, pareto
from ...db.statistics.table import ScoreTable
from .ranking import ranking_table, span


def points_of(ranked: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """A point per ranked configuration: what it keeps, its score with interval, its name, allocator and scorer.

    The full cache is none of them: it is the level that all are held against.
    """
    table = ranking_table(ranked, about).join(about[["name", "allocator", "scorer"]], on="configuration")
    return table[table["allocator"] != "full"].reset_index(drop=True)


def with_frontier(points: pd.DataFrame, x: str) -> pd.DataFrame:
    """The points with `is_frontier`: no other keeps less and scores as much, or keeps as much and scores more."""
    return points.assign(is_frontier=pareto(points[x].to_numpy(float), points["score"].to_numpy(float)))


def with_band(points: pd.DataFrame, x: str, table: ScoreTable) -> pd.DataFrame:
    """The points with `frontier_low` and `frontier_high`, of the best one that keeps no more: see `frontier_band`.

    Args:
        points: Of `with_frontier`.
        x: What they are held against.
        table: The scores of all configurations, those of the points among them.
    """
    costs = points.set_index("configuration")[x].reindex(list(table.configurations)).to_numpy(float)
    low, high = frontier_band(table, costs, points[x].to_numpy(float))
    return points.assign(frontier_low=low, frontier_high=high)


def frontier_table(points: pd.DataFrame) -> pd.DataFrame:
    """The configurations on the frontier, those that keep least first."""
    columns = ["name", "score", "interval_low", "interval_high", "frontier_low", "frontier_high"]
    columns += ["loss_percent", "kept_percent", "kept_mib"]
    best = points[points["is_frontier"]].sort_values(["kept_mib", "score"])
    return best[[*columns, "configuration"]].reset_index(drop=True)


def area_table(
    table: ScoreTable, about: pd.DataFrame, budgets: Collection[str], methods: Collection[str]
) -> tuple[pd.DataFrame, list[str]]:
    """(methods, single): the columns of `db.areas.area_frame` with details, and the methods without two budgets.

    Areas are over the chosen budgets of all methods, so that which methods are shown changes nobody's rank.

    Args:
        table: The scores of all configurations.
        about: Of `describe_configurations`.
        budgets: Labels of the budgets that are shown.
        methods: The methods that are shown.
    """
    used = about[about["budget"].isin(budgets) | (about["allocator"] == "full")]
    columns = ["allocator", "method", "budget", "ratio", "keep_tokens", "spec"]
    rows = zip(used.index, used[columns].itertuples(index=False), strict=True)
    frame, single = area_frame(table, {str(name): dict(zip(columns, row, strict=True)) for name, row in rows})
    frame = frame[frame["method"].isin(methods)].join(about["details"], on="configuration")
    return frame.reset_index(drop=True), [method for method in single if method in methods]


def shown_areas(areas: pd.DataFrame) -> pd.DataFrame:
    """What a reader looks at of `area_table`'s methods; details where there are any, budgets where they differ."""
    shown = pd.DataFrame(
        {
            "Rank": areas["rank"],
            "Area": areas["area"],
            "Method": areas["method"],
            "Details": areas["details"],
            "95% interval": [
                span(*ends, 1) for ends in zip(areas["interval_low"], areas["interval_high"], strict=True)
            ],
            "Loss, %": areas["loss_percent"],
            "95% of loss": [span(*ends, 1) for ends in zip(areas["loss_low"], areas["loss_high"], strict=True)],
            "Budgets": [", ".join(budgets) for budgets in areas["budgets"]],
        }
    )
    alike = [*([] if shown["Details"].any() else ["Details"]), *(["Budgets"] if common_budgets(areas) else [])]
    return shown.drop(columns=alike)


def common_budgets(areas: pd.DataFrame) -> list[str]:
    """The budgets of all methods of `area_table`; none where they differ."""
    sets = {tuple(budgets) for budgets in areas["budgets"]}
    return list(sets.pop()) if len(sets) == 1 else []
