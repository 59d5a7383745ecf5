"""How far evicted caches are from the full one, against budget."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from .. import text
from .frame import frame
from .tradeoffs import AXES


def divergence_lines(points: pd.DataFrame, x: str, line: str, styles: Mapping[str, Mapping[str, str]]) -> go.Figure:
    """A line for each value of a column; KL on a logarithmic axis, the closest to the full cache at the bottom.

    Args:
        points: A row per configuration: the columns `x`, `line`, name, kl_nats and score.
        x: A key of `tradeoffs.AXES`.
        line: The column that distinguishes the lines.
        styles: Of `theme.styles`, by value of that column.
    """
    drawn = points[points["kl_nats"] > 0].dropna(subset=[x]).sort_values(x)  # a logarithm shows no 0
    traces = [_line(rows, x, text.plotly(value), styles[str(value)]) for value, rows in drawn.groupby(line, sort=True)]
    layout = {
        "xaxis": {"title": {"text": AXES[x]}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "KL to the full cache, nats"}, "type": "log"},
        **frame(420, right_px=48),
    }
    return go.Figure({"data": traces, "layout": layout})


def _line(rows: pd.DataFrame, x: str, name: str, style: Mapping[str, str]) -> dict[str, Any]:
    names = [text.plotly(each) for each in rows["name"]]
    return {
        "type": "scatter",
        "x": rows[x].tolist(),
        "y": rows["kl_nats"].tolist(),
        "name": name,
        "mode": "lines+markers",
        "line": {"color": style["colour"], "dash": style["dash"], "width": 2},
        "marker": {"symbol": style["marker"], "size": 7},
        "customdata": [list(each) for each in zip(names, rows["score"].tolist(), strict=True)],
        "hovertemplate": "%{customdata[0]}<br>KL %{y:.4f} nats, score %{customdata[1]:.1f}<extra></extra>",
    }
