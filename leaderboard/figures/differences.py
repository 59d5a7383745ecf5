"""What two configurations differ in, task by task."""

import pandas as pd
import plotly.graph_objects as go

from ...db.statistics.complete import place_title
from .. import text
from ..theme import CATEGORIES, REFERENCE
from .frame import frame

_ROW_PX = 34


def difference_figure(table: pd.DataFrame) -> go.Figure:
    """The difference B less A with its 95% interval, a row per task; filled where Holm's test finds it.

    Args:
        table: Of `tables.pairs.difference_table`.
    """
    labels = [text.plotly(place_title(*place), 40) for place in zip(table["task"], table["length"], strict=True)]
    found = (table["p_holm"] < 0.05).tolist()
    hover = [
        f"{each:+.1f} [{low:+.1f}, {high:+.1f}], p = {p:.3g} after Holm"
        for each, low, high, p in zip(table["difference"], table["low"], table["high"], table["p_holm"], strict=True)
    ]
    marks = {
        "type": "scatter",
        "x": table["difference"].tolist(),
        "y": list(range(len(table))),
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": (table["high"] - table["difference"]).tolist(),
            "arrayminus": (table["difference"] - table["low"]).tolist(),
            "color": CATEGORIES[0],
            "thickness": 2,
        },
        "mode": "markers",
        "marker": {
            "size": 11,
            "color": CATEGORIES[0],
            "line": {"width": 2, "color": CATEGORIES[0]},
            "symbol": ["circle" if each else "circle-open" for each in found],
        },
        "customdata": hover,
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return go.Figure({"data": [marks], "layout": _layout(labels)})


def _layout(labels: list[str]) -> dict[str, object]:
    """A row per label from top to bottom, and a line where there is no difference."""
    line = {"color": REFERENCE, "width": 1.5, "dash": "dash"}
    nought = {"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "xref": "x", "yref": "y domain", "line": line}
    rows = {"tickvals": list(range(len(labels))), "ticktext": labels, "autorange": "reversed", "zeroline": False}
    return {
        "shapes": [nought],
        "yaxis": rows,
        "xaxis": {"title": {"text": "points, B less A"}, "zeroline": False},
        "showlegend": False,
        **frame(136 + _ROW_PX * max(2, len(labels))),
    }
