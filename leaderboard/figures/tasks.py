"""Which configuration is good at what: heat maps."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from .. import text
from ..theme import SCALE

_ROW_PX = 22
_MOST_NUMBERS = 12
"""Columns up to which the numbers fit into the map."""


def score_map(scores: pd.DataFrame, across: str) -> go.Figure:
    """Scores [0, 100] as colours, a row per configuration from top to bottom; missing ones are left empty.

    Args:
        scores: Columns and index are names of the database, the values scores.
        across: What the columns are.
    """
    columns = distinct([text.plotly(name, 40) for name in scores.columns])
    rows = distinct([text.plotly(name, 60) for name in scores.index])
    heatmap = go.Heatmap(
        z=scores.to_numpy(dtype=float),
        x=columns,
        y=rows,
        zmin=0,
        zmax=100,
        colorscale=SCALE,
        xgap=1,
        ygap=1,
        texttemplate="%{z:.0f}" if len(columns) <= _MOST_NUMBERS else None,
        hoverongaps=False,
        hovertemplate="%{y}<br>%{x}: %{z:.1f}<extra></extra>",
        colorbar={
            "title": {"text": "score"},
            "thickness": 10,
            "lenmode": "pixels",
            "len": 220,
            "y": 1,
            "yanchor": "top",
        },
    )
    figure = go.Figure(heatmap)
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True)
    figure.update_xaxes(type="category", side="top", title=across, showgrid=False)
    height = 130 + _ROW_PX * len(rows)
    return figure.update_layout(height=height, margin={"l": 8, "r": 8, "t": 8, "b": 8})


def distinct(names: Sequence[str]) -> list[str]:
    """The names, numbered where they are the same: plotly would draw them over each other."""
    seen: dict[str, int] = {}
    shown = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        shown.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return shown
