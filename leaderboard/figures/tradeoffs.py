"""Quality against budget: lines with bands, and the frontier."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from .. import text
from ..theme import REFERENCE, translucent

AXES = {"kept_percent": "bytes kept, % of the full cache", "kept_mib": "bytes kept, MiB"}
"""Titles of what quality can be held against."""

_MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}


def quality_lines(
    points: pd.DataFrame, x: str, line: str, styles: Mapping[str, Mapping[str, str]], full: float | None = None
) -> go.Figure:
    """A line with its band of 95% intervals for each value of a column.

    Args:
        points: A row per configuration: the columns `x`, `line`, name, score, interval_low and interval_high.
        x: A key of AXES.
        line: The column that distinguishes the lines.
        styles: Of `theme.styles`, by value of that column.
        full: The full cache's score, drawn as a level.
    """
    figure = go.Figure()
    for value, rows in points.dropna(subset=[x]).sort_values(x).groupby(line, sort=True):
        style = styles[str(value)]
        ends = [*rows[x], *rows[x][::-1]]
        band = [*rows["interval_high"], *rows["interval_low"][::-1]]
        fill = translucent(style["colour"], 0.13)
        name = text.plotly(value)
        figure.add_scatter(
            x=ends, y=band, fill="toself", fillcolor=fill, line_width=0, hoverinfo="skip", showlegend=False,
            legendgroup=name, mode="lines",
        )  # fmt: skip
        figure.add_scatter(
            x=rows[x], y=rows["score"], name=name, legendgroup=name, mode="lines+markers",
            line={"color": style["colour"], "dash": style["dash"], "width": 2},
            marker={"symbol": style["marker"], "size": 7}, customdata=_hover(rows), hovertemplate=_HOVER,
        )  # fmt: skip
    _add_level(figure, full)
    return _finished(figure, x)


def frontier_figure(points: pd.DataFrame, x: str, full: float | None = None) -> go.Figure:
    """Every configuration, with the frontier as a stair and the intervals of those on it.

    Args:
        points: A row per configuration: the columns `x`, name, score, interval_low, interval_high and is_frontier.
        x: A key of AXES.
        full: The full cache's score, drawn as a level.
    """
    points = points.dropna(subset=[x])
    others, best = points[~points["is_frontier"]], points[points["is_frontier"]].sort_values(x)
    figure = go.Figure()
    figure.add_scatter(
        x=others[x], y=others["score"], mode="markers", name="others", customdata=_hover(others), hovertemplate=_HOVER,
        marker={"color": translucent(REFERENCE, 0.55), "size": 7},
    )  # fmt: skip
    figure.add_scatter(
        x=best[x], y=best["score"], mode="lines+markers", name="frontier", customdata=_hover(best),
        hovertemplate=_HOVER, line={"color": "#D55E00", "shape": "hv", "width": 2},
        marker={"symbol": "diamond", "size": 9},
        error_y={
            "array": best["interval_high"] - best["score"],
            "arrayminus": best["score"] - best["interval_low"],
            "thickness": 1.2,
        },
    )  # fmt: skip
    _add_level(figure, full)
    return _finished(figure, x)


_HOVER = "%{customdata[0]}<br>score %{y:.1f}, 95% interval %{customdata[1]:.1f} to %{customdata[2]:.1f}<extra></extra>"


def _hover(rows: pd.DataFrame) -> list[list[object]]:
    names = [text.plotly(name) for name in rows["name"]]
    return [list(row) for row in zip(names, rows["interval_low"], rows["interval_high"], strict=True)]


def _add_level(figure: go.Figure, full: float | None) -> None:
    if full is not None:
        figure.add_hline(
            full,
            line={"color": REFERENCE, "dash": "dash", "width": 1},
            annotation={"text": "full cache", "font": {"color": REFERENCE}},
            annotation_position="top left",
        )


def _finished(figure: go.Figure, x: str) -> go.Figure:
    figure.update_xaxes(title=AXES[x], rangemode="tozero")
    figure.update_yaxes(title="score", range=[-2, 103])
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "title": None}
    return figure.update_layout(height=400, margin=_MARGIN, legend=legend, hovermode="closest")
