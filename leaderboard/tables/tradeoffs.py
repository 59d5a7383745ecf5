"""What the trade-offs are drawn from."""

import pandas as pd

from ...db.statistics.frontier import pareto
from .ranking import ranking_table


def points_of(ranked: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """A point per ranked configuration: what it keeps, its score with interval, its name, allocator and scorer.

    The full cache is none of them: it is the level that all are held against.
    """
    table = ranking_table(ranked, about).join(about[["name", "allocator", "scorer"]], on="configuration")
    return table[table["allocator"] != "full"].reset_index(drop=True)


def with_frontier(points: pd.DataFrame, x: str) -> pd.DataFrame:
    """The points with `is_frontier`: no other keeps less and scores as much, or keeps as much and scores more."""
    return points.assign(is_frontier=pareto(points[x].to_numpy(float), points["score"].to_numpy(float)))


def frontier_table(points: pd.DataFrame) -> pd.DataFrame:
    """The configurations on the frontier, those that keep least first."""
    columns = ["name", "score", "interval_low", "interval_high", "loss_percent", "kept_percent", "kept_mib"]
    best = points[points["is_frontier"]].sort_values(["kept_mib", "score"])
    return best[[*columns, "configuration"]].reset_index(drop=True)
