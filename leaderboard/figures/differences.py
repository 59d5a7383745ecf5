"""What two configurations differ in, task by task."""

import pandas as pd
import plotly.graph_objects as go

from .. import text
from ..theme import CATEGORIES, REFERENCE

_ROW_PX = 34


def difference_figure(table: pd.DataFrame) -> go.Figure:
    """The difference B less A with its 95% interval, a row per task; filled where Holm's test finds it.

    Args:
        table: Of `tables.pairs.difference_table`.
    """
    labels = [_label(task, length) for task, length in zip(table["task"], table["length"], strict=True)]
    found = (table["p_holm"] < 0.05).tolist()
    error = {
        "type": "data",
        "symmetric": False,
        "array": (table["high"] - table["difference"]).tolist(),
        "arrayminus": (table["difference"] - table["low"]).tolist(),
        "color": CATEGORIES[0],
        "thickness": 2,
    }
    hover = [
        f"{each:+.1f} [{low:+.1f}, {high:+.1f}], p = {p:.3g} after Holm"
        for each, low, high, p in zip(table["difference"], table["low"], table["high"], table["p_holm"], strict=True)
    ]
    figure = go.Figure(
        go.Scatter(
            x=table["difference"],
            y=list(range(len(table))),
            error_x=error,
            mode="markers",
            marker={
                "size": 11,
                "color": CATEGORIES[0],
                "line": {"width": 2, "color": CATEGORIES[0]},
                "symbol": ["circle" if each else "circle-open" for each in found],
            },
            customdata=hover,
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": REFERENCE, "width": 1.5, "dash": "dash"})
    figure.update_yaxes(tickvals=list(range(len(table))), ticktext=labels, autorange="reversed", zeroline=False)
    figure.update_xaxes(title="points, B less A", zeroline=False)
    return figure.update_layout(
        height=110 + _ROW_PX * max(2, len(table)), margin={"l": 8, "r": 8, "t": 8, "b": 8}, showlegend=False
    )


def _label(task: object, length: object) -> str:
    return text.plotly(task if length is pd.NA else f"{task} {length}", 40)
