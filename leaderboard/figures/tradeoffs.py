"""Quality against budget: lines with bands, and the frontier."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from .. import text
from ..theme import REFERENCE, translucent
from .frame import frame

AXES = {"kept_percent": "bytes kept, % of the full cache", "kept_mib": "bytes kept, MiB"}
"""Titles of what quality can be held against."""

_BEST = "#D55E00"


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
    traces: list[dict[str, Any]] = []
    for value, rows in points.dropna(subset=[x]).sort_values(x).groupby(line, sort=True):
        traces += _line(rows, x, text.plotly(value), styles[str(value)])
    return _figure(traces, x, full)


def _line(rows: pd.DataFrame, x: str, name: str, style: Mapping[str, str]) -> list[dict[str, Any]]:
    """The band, which the legend leaves out, and the line."""
    kept, low, high = (rows[column].tolist() for column in (x, "interval_low", "interval_high"))
    band = {
        "x": [*kept, *kept[::-1]],
        "y": [*high, *low[::-1]],
        "fill": "toself",
        "fillcolor": translucent(style["colour"], 0.13),
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": name,
        "mode": "lines",
    }
    line = {
        "x": kept,
        "y": rows["score"].tolist(),
        "name": name,
        "legendgroup": name,
        "mode": "lines+markers",
        "line": {"color": style["colour"], "dash": style["dash"], "width": 2},
        "marker": {"symbol": style["marker"], "size": 7},
        **_hover(rows),
    }
    return [band, line]


def frontier_figure(points: pd.DataFrame, x: str, full: float | None = None) -> go.Figure:
    """Every configuration, with the frontier as a stair in its band; both reach to the one that keeps most.

    Args:
        points: A row per configuration: the columns `x`, name, score, interval_low, interval_high, is_frontier,
            frontier_low and frontier_high.
        x: A key of AXES.
        full: The full cache's score, drawn as a level.
    """
    points = points.dropna(subset=[x])
    others, best = points[~points["is_frontier"]], points[points["is_frontier"]].sort_values(x)
    traces = [
        *_stair_band(points.sort_values(x).drop_duplicates(x), x),
        {
            "x": others[x].tolist(),
            "y": others["score"].tolist(),
            "mode": "markers",
            "name": "others",
            "marker": {"color": translucent(REFERENCE, 0.55), "size": 7},
            **_hover(others),
        },
        {
            "x": best[x].tolist(),
            "y": best["score"].tolist(),
            "mode": "lines+markers",
            "name": "frontier",
            "line": {"color": _BEST, "shape": "hv", "width": 2},
            "marker": {"symbol": "diamond", "size": 9},
            **_hover(best),
        },
        {
            "x": [best[x].iloc[-1], points[x].max()] if len(best) else [],
            "y": [best["score"].iloc[-1]] * 2 if len(best) else [],
            "mode": "lines",
            "line": {"color": _BEST, "width": 2},
            "hoverinfo": "skip",
            "showlegend": False,
        },
    ]
    return _figure(traces, x, full)


def _stair_band(rows: pd.DataFrame, x: str) -> list[dict[str, Any]]:
    """From each number of bytes to the next one."""
    shared = {
        "x": rows[x].tolist(),
        "mode": "lines",
        "line": {"color": translucent(_BEST, 0.5), "shape": "hv", "width": 1},
        "hoverinfo": "skip",
        "name": "95% band",
        "legendgroup": "band",
    }
    fill = {"fill": "tonexty", "fillcolor": translucent(_BEST, 0.13)}
    return [
        {**shared, "y": rows["frontier_low"].tolist(), "showlegend": False},
        {**shared, "y": rows["frontier_high"].tolist(), **fill},
    ]


def _hover(rows: pd.DataFrame) -> dict[str, Any]:
    """What a point says of itself."""
    names = [text.plotly(name) for name in rows["name"]]
    spans = zip(names, rows["interval_low"].tolist(), rows["interval_high"].tolist(), strict=True)
    score = "score %{y:.1f}, 95% interval %{customdata[1]:.1f} to %{customdata[2]:.1f}"
    return {
        "customdata": [list(span) for span in spans],
        "hovertemplate": f"%{{customdata[0]}}<br>{score}<extra></extra>",
    }


def _figure(traces: Sequence[Mapping[str, Any]], x: str, full: float | None) -> go.Figure:
    """Built in one go: plotly checks every part again for each trace or axis that is added to a figure."""
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": AXES[x]}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "score"}, "range": [-2, 103]},
        **frame(420, right_px=48),
    }
    if full is not None:
        layout |= _level(full)
    return go.Figure({"data": [{"type": "scatter", **trace} for trace in traces], "layout": layout})


def _level(full: float) -> dict[str, Any]:
    """The full cache's score, across the whole figure."""
    place = {"xref": "x domain", "yref": "y"}
    line = {"color": REFERENCE, "dash": "dash", "width": 1}
    words = {"text": "full<br>cache", "align": "left", "showarrow": False}
    beside = {"x": 1, "xanchor": "left", "y": full, "yanchor": "middle"}  # where no line passes
    return {
        "shapes": [{"type": "line", "x0": 0, "x1": 1, "y0": full, "y1": full, "line": line, **place}],
        "annotations": [{**words, **beside, **place}],
    }
