"""Floors and ceilings: what position alone gives, what a sample's own future gives, and where methods stand."""

from collections.abc import Mapping

import pandas as pd

from ...db.ceilings import FLOORS
from .tasks import task_table

KINDS = ("oracle", "method", "floor")
"""What a configuration is, the best first."""


def ceiling_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """The complete cells that have a budget, with `kind`, on tasks at lengths with a floor or an oracle.

    Args:
        cells: With the columns of `read_cells`.
    """
    complete = cells[(cells["status"] == "complete") & cells["scorer"].notna()]
    pairs = zip(complete["allocator"], complete["scorer"], strict=True)
    is_floor = pd.Series([pair in FLOORS for pair in pairs], index=complete.index, dtype=bool)
    kind = pd.Series("method", index=complete.index).mask(is_floor, "floor").mask(complete["is_oracle"], "oracle")
    marked = complete.assign(kind=kind)
    others = marked["kind"] != "method"
    has_any = others.groupby([marked["task"], marked["length"]], dropna=False).transform("any")
    return marked[has_any.astype(bool)]


def ceiling_table(cells: pd.DataFrame, about: pd.DataFrame, shares: Mapping[str, float]) -> pd.DataFrame:
    """A row per configuration: name, kind, budget, score, `share_of_oracle`, is_best; by what it keeps, then by score.

    `is_best` marks the method that scores most at its budget, the first by name among equals.

    Args:
        cells: Of `ceiling_cells`, of one task and length.
        about: Of `ranking.describe_configurations`.
        shares: Of `db.ceilings.shares_of_oracle`.
    """
    columns = ["configuration", "kind", "budget", "method"]
    table = task_table(cells, about).merge(cells[columns], on="configuration")
    table["share_of_oracle"] = table["cell"].map(dict(shares)).astype("float64")
    table = table.sort_values(["kept_percent", "score", "name"], ascending=[False, False, True])
    is_method = table["kind"] == "method"
    by_score = table[is_method].sort_values(["score", "name"], ascending=[False, True])
    table["is_best"] = table.index.isin(by_score.drop_duplicates("budget").index)
    shown = ["name", "method", "kind", "budget", "kept_percent", "score", "interval_low", "interval_high"]
    return table[[*shown, "share_of_oracle", "is_best", "configuration", "cell"]].reset_index(drop=True)
