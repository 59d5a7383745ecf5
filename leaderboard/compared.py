"""Two configurations held against each other, computed once for every state of the database."""

from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from ..db.frames.sample_scores import read_sample_scores
from .figures.differences import difference_figure
from .pair import Pair
from .tables.pairs import difference_table, incomplete_tasks, shared_scores
from .view import Place, View


class Compared(NamedTuple):
    """What the samples say of a pair. All of it is shared: never change it.

    Attributes:
        cells: The results of the two.
        shared: Of `tables.pairs.shared_scores`.
        incomplete: Of `tables.pairs.incomplete_tasks`.
        table: Of `tables.pairs.difference_table`, empty where they share no sample.
        figure: Of `figures.differences.difference_figure`.
    """

    cells: pd.DataFrame
    shared: pd.DataFrame
    incomplete: list[Place]
    table: pd.DataFrame
    figure: go.Figure


def compare_configurations(view: View, pair: Pair) -> Compared:
    """The pair over the chosen tasks."""
    return view.record.derive(_compare, view.setting, view.places, pair, inputs=(view, pair))


def _compare(view: View, pair: Pair) -> Compared:
    cells = view.pool[view.pool["configuration"].isin(pair)]
    shared = shared_scores(cells, read_sample_scores(view.record.reader, list(cells["cell"])), *pair)
    incomplete = incomplete_tasks(view.pool.assign(status=view.pool["own_status"]), *pair)
    table = difference_table(shared, incomplete)
    return Compared(cells, shared, incomplete, table, difference_figure(table))
