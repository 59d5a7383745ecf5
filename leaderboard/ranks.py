"""The ranking of a view, computed once for every state of the database."""

import pandas as pd

from ..db.statistics.complete import score_table
from ..db.statistics.curves import relative_losses
from ..db.statistics.ranking import ranked_frame
from ..db.statistics.table import ScoreTable
from .ceilings import share_frame
from .configurations import name_configurations
from .tables.ranking import describe_configurations
from .view import View

LOSSES = ("loss_percent", "loss_low", "loss_high")


def ranks_of(view: View) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(ranked, incomplete) of `db.statistics.ranking.rank`, over all configurations on the chosen tasks but oracles.

    The ranked ones have LOSSES, too: what they lose of the full cache's score in percent, with the 95% interval;
    missing unless exactly one full cache is ranked and scores. So is `share_of_oracle`, see `ceilings.share_frame`.
    """
    return view.record.derive(_rank, view.setting, view.places, inputs=(view,))


def table_of(view: View) -> ScoreTable:
    """The scores of the complete configurations on the chosen tasks, without oracles."""
    return _scored(view)[0]


def _scored(view: View) -> tuple[ScoreTable, pd.DataFrame]:
    return view.record.derive(_score_table, view.setting, view.places, inputs=(view,))


def configurations_of(view: View) -> pd.DataFrame:
    """A row per configuration on the chosen tasks, see `tables.ranking.describe_configurations`."""
    return view.derive(_describe)


def _rank(view: View) -> tuple[pd.DataFrame, pd.DataFrame]:
    table, incomplete = _scored(view)
    losses = _losses(table, set(view.pool.loc[view.pool["allocator"] == "full", "configuration"]))
    shares = share_frame(view.pool)
    return ranked_frame(table).join(losses, on="configuration").join(shares, on="configuration"), incomplete


def _score_table(view: View) -> tuple[ScoreTable, pd.DataFrame]:
    pool = view.pool[~view.pool["is_oracle"]]
    return score_table(pool, view.scores)


def _losses(table: ScoreTable, full: set[str]) -> pd.DataFrame:
    rows = [row for row, configuration in enumerate(table.configurations) if configuration in full]
    values = relative_losses(table, rows[0]) if len(rows) == 1 else (float("nan"),) * 3
    index = list(table.configurations)
    return pd.DataFrame(dict(zip(LOSSES, values, strict=True)), index=index, dtype=float)


def _describe(cells: pd.DataFrame) -> pd.DataFrame:
    return describe_configurations(cells, name_configurations(cells))
