"""Which configuration is good at what: heat maps."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from .. import text
from ..theme import SCALE, ink_on
from .frame import framed

_ROW_PX = 30
_MOST_NUMBERS = 6
"""Columns up to which the numbers fit into the map, on a phone too."""

_BELOW_THE_BUTTONS = "&nbsp;<br>"
"""An empty line above the title of an axis at the top, which would stand where the figure's buttons are."""

_MOST_IN_LINE = 38
"""Characters of a row's name: they leave a phone some room for the map."""


def score_map(scores: pd.DataFrame, across: str) -> go.Figure:
    """Scores [0, 100] as colours, a row per configuration from top to bottom; missing ones are left empty.

    Args:
        scores: Columns and index are names of the database, the values scores.
        across: What the columns are.
    """
    columns = distinct([text.plotly(name, 40) for name in scores.columns])
    rows = distinct([_two_lines(str(name)) for name in scores.index])
    heatmap = go.Heatmap(
        z=scores.to_numpy(dtype=float),
        x=columns,
        y=rows,
        zmin=0,
        zmax=100,
        colorscale=SCALE,
        xgap=1,
        ygap=1,
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
    if len(columns) <= _MOST_NUMBERS:
        figure.add_trace(_numbers(scores, columns, rows))
    figure.update_yaxes(type="category", range=[len(rows) - 0.5, -0.5], showgrid=False, automargin=True)
    figure.update_xaxes(
        type="category", side="top", title=_BELOW_THE_BUTTONS + across, showgrid=False, range=[-0.5, len(columns) - 0.5]
    )
    return framed(figure, 156 + _ROW_PX * len(rows))


def _two_lines(name: str) -> str:
    """A configuration's method, and its budget below: a phone has no room for both in a line."""
    method, _, budget = name.partition(", ")
    return "<br>".join(text.plotly(part, _MOST_IN_LINE) for part in (method, budget) if part)


def _numbers(scores: pd.DataFrame, columns: Sequence[str], rows: Sequence[str]) -> go.Scatter:
    """The scores as texts, black or white: whichever differs more from the colour behind it."""
    places = [(row, column) for row in range(len(rows)) for column in range(len(columns))]
    values = scores.to_numpy(dtype=float).ravel()
    shares = np.nan_to_num(values).clip(0, 100) / 100
    return go.Scatter(
        x=[columns[column] for _, column in places],
        y=[rows[row] for row, _ in places],
        text=["" if np.isnan(value) else f"{value:.0f}" for value in values],
        textfont={"color": [ink_on(colour) for colour in sample_colorscale(SCALE, shares)]},
        mode="text",
        hoverinfo="skip",
        showlegend=False,
    )


def distinct(names: Sequence[str]) -> list[str]:
    """The names, numbered where they are the same: plotly would draw them over each other."""
    seen: dict[str, int] = {}
    shown = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        shown.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return shown
