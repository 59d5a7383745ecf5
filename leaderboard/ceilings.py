"""How far each score is from its floor to its oracle, computed once for every state of the database."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..db.ceilings import configuration_shares, shares_of_oracle
from .view import View


def cell_shares(view: View) -> Mapping[str, float]:
    """By cell of the pool, see `db.ceilings.shares_of_oracle`."""
    return view.derive(_of_cells)


def share_frame(cells: pd.DataFrame) -> pd.DataFrame:
    """By configuration `share_of_oracle` of the mean score over the chosen tasks, missing where there is none.

    Args:
        cells: With the columns of `read_cells`.
    """
    shares = configuration_shares(_rows(cells), lambda row: str(row["configuration"]))
    return pd.DataFrame({"share_of_oracle": pd.Series(shares, dtype="float64")})


def _of_cells(cells: pd.DataFrame) -> Mapping[str, float]:
    return shares_of_oracle(_rows(cells))


def _rows(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """The cells as rows; none where no oracle is among them, since a setting may have many."""
    if not cells["is_oracle"].any():
        return []
    return [{str(name): value for name, value in row.items()} for row in cells.to_dict("records")]
