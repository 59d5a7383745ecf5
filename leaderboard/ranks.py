"""The ranking of a view, computed once for every state of the database."""

import pandas as pd

from ..db.statistics.ranking import rank
from .configurations import name_configurations
from .tables.ranking import describe_configurations
from .view import View


def ranks_of(view: View) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(ranked, incomplete) of `db.statistics.ranking.rank`, over all configurations on the chosen tasks."""
    return view.record.derive(_rank, view.setting, view.places, inputs=(view,))


def configurations_of(view: View) -> pd.DataFrame:
    """A row per configuration on the chosen tasks, see `tables.ranking.describe_configurations`."""
    return view.derive(_describe)


def _rank(view: View) -> tuple[pd.DataFrame, pd.DataFrame]:
    return rank(view.pool, view.scores)


def _describe(cells: pd.DataFrame) -> pd.DataFrame:
    return describe_configurations(cells, name_configurations(cells))
