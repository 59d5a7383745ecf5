"""Quality against what it costs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from .. import text
from .frame import frame

AXES: Mapping[str, tuple[str, str]] = {
    "seconds per token": ("tpot_s", "seconds per later token"),
    "seconds to the first token": ("ttft_s", "seconds to the first token"),
    "bytes kept": ("kept_mib", "KV bytes kept, MiB"),
    "peak memory": ("peak_mib", "peak memory beside the model, MiB"),
}
"""What quality can be held against: its column and its title."""


def cost_figure(table: pd.DataFrame, against: str, styles: Mapping[str, Mapping[str, str]]) -> go.Figure:
    """A point per configuration: its score against its cost, with the quartiles of its seconds.

    Args:
        table: Of `tables.costs.cost_table`, of rows that have a score.
        against: A key of AXES.
        styles: Of `theme.styles`, by allocator.
    """
    x, title = AXES[against]
    traces: list[dict[str, Any]] = []
    for allocator, rows in table.dropna(subset=[x, "score"]).groupby("allocator", sort=True):
        style = styles[str(allocator)]
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "markers",
            "name": text.plotly(allocator),
            "x": rows[x].tolist(),
            "y": rows["score"].tolist(),
            "marker": {"color": style["colour"], "symbol": style["marker"], "size": 9},
            "customdata": [[text.plotly(name)] for name in rows["name"]],
            "hovertemplate": "%{customdata[0]}<br>score %{y:.1f}, %{x:.4g}<extra></extra>",
        }
        if f"{x}_q1" in rows:
            below, above = rows[x] - rows[f"{x}_q1"], rows[f"{x}_q3"] - rows[x]
            trace["error_x"] = {"array": above.tolist(), "arrayminus": below.tolist(), "thickness": 1, "width": 0}
        traces.append(trace)
    axes: dict[str, Any] = {
        "xaxis": {"title": {"text": title}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "score"}, "range": [-2, 103]},
    }
    return go.Figure({"data": traces, "layout": {**axes, **frame(420)}})
