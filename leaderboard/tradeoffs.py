"""What the trade-offs show of a view, computed once for every state of the database."""

import pandas as pd
import plotly.graph_objects as go

from ..db.statistics.table import ScoreTable
from .figures.fidelity import divergence_lines
from .figures.tradeoffs import frontier_figure, quality_lines
from .ranks import table_of
from .tables.tradeoffs import area_table, points_of, with_band, with_frontier
from .theme import styles
from .view import View


def shown_points(view: View, ranked: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """The points of `tables.tradeoffs.points_of` that the filters left."""
    return view.keep(_points, inputs=(view, ranked, about))


def panel_figures(
    view: View, points: pd.DataFrame, x: str, panel: str, line: str, full: float | None, values: tuple[str, ...]
) -> dict[str, go.Figure]:
    """A figure for each of some values of the column `panel`, with a line for each value of the column `line`.

    Args:
        view: What the page shows.
        points: Of `shown_points`.
        x: A key of `figures.tradeoffs.AXES`.
        panel: A column of the points.
        line: Another one.
        full: The full cache's score.
        values: Of the column `panel`.
    """
    return view.keep(_panels, x, panel, line, values, inputs=(points, x, panel, line, full, values))


def divergence_figures(
    view: View, points: pd.DataFrame, x: str, panel: str, line: str, values: tuple[str, ...]
) -> dict[str, go.Figure]:
    """As `panel_figures`, of KL to the full cache in the place of scores."""
    return view.keep(_divergences, x, panel, line, values, inputs=(points, x, panel, line, values))


def frontier(view: View, points: pd.DataFrame, x: str, full: float | None) -> tuple[pd.DataFrame, go.Figure]:
    """(points with `is_frontier` and the ends of the band, their figure). Arguments as of `panel_figures`."""
    return view.keep(_frontier, x, inputs=(points, x, full, table_of(view)))


def method_areas(view: View, about: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """What `tables.tradeoffs.area_table` gives for the budgets and methods that the filters left."""
    return view.keep(_areas, inputs=(view, about))


def _points(view: View, ranked: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    points = points_of(ranked, about)
    return points[points["configuration"].isin(view.shown)].reset_index(drop=True)


def _panels(
    points: pd.DataFrame, x: str, panel: str, line: str, full: float | None, values: tuple[str, ...]
) -> dict[str, go.Figure]:
    looks = styles(points[line].astype(str))  # a line looks alike in every panel
    return {value: quality_lines(points[points[panel] == value], x, line, looks, full) for value in values}


def _divergences(points: pd.DataFrame, x: str, panel: str, line: str, values: tuple[str, ...]) -> dict[str, go.Figure]:
    looks = styles(points[line].astype(str))
    return {value: divergence_lines(points[points[panel] == value], x, line, looks) for value in values}


def _frontier(points: pd.DataFrame, x: str, full: float | None, table: ScoreTable) -> tuple[pd.DataFrame, go.Figure]:
    points = with_band(with_frontier(points, x), x, table)
    return points, frontier_figure(points, x, full)


def _areas(view: View, about: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    budgets, methods = (set(view.cells[name]) for name in ("budget", "method"))
    return area_table(table_of(view), about, budgets, methods)
