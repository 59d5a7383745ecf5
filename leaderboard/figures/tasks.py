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

_BELOW_THE_BUTTONS = "&nbsp;<br>&nbsp;<br>"
"""Empty lines above the title of an axis at the top, which would stand where the figure's buttons are."""

_RING = "#D55E00"

_MOST_IN_LINE = 38
"""Characters of a row's name: they leave a phone some room for the map."""


Field = tuple[int, int, float]
"""Numbers of a row and a column, and the score there."""

_HOVER = "%{y}<br>%{x}: %{SCORE:.1f}<extra></extra>"


def score_map(scores: pd.DataFrame, across: str, *, clickable: bool = False) -> go.Figure:
    """Scores [0, 100] as colours, a row per configuration from top to bottom; missing ones are left empty.

    Args:
        scores: Columns and index are names of the database, the values scores.
        across: What the columns are.
        clickable: A click chooses a field; its `customdata` begins with the numbers of its row and column.
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
        hovertemplate=_HOVER.replace("SCORE", "z"),
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
        figure.add_traces(_numbers(scores, columns, rows))
    if clickable:
        _let_click(figure, scores, columns, rows)
    figure.update_yaxes(type="category", range=[len(rows) - 0.5, -0.5], showgrid=False, automargin=True)
    figure.update_xaxes(
        type="category", side="top", title=_BELOW_THE_BUTTONS + across, showgrid=False, range=[-0.5, len(columns) - 0.5]
    )
    return framed(figure, 156 + _ROW_PX * len(rows))


def _two_lines(name: str) -> str:
    """A configuration's method, and its budget below: a phone has no room for both in a line."""
    method, _, budget = name.partition(", ")
    return "<br>".join(text.plotly(part, _MOST_IN_LINE) for part in (method, budget) if part)


def _scored(scores: pd.DataFrame) -> list[Field]:
    """The fields that have a score."""
    values = scores.to_numpy(dtype=float)
    return [(row, column, float(values[row, column])) for row, column in np.argwhere(~np.isnan(values)).tolist()]


def _numbers(scores: pd.DataFrame, columns: Sequence[str], rows: Sequence[str]) -> list[go.Scatter]:
    """The scores as texts, black or white: whichever differs more from the colour behind it."""
    fields = _scored(scores)
    colours = sample_colorscale(SCALE, [min(max(score, 0.0), 100.0) / 100 for _, _, score in fields])
    by_ink: dict[str, list[Field]] = {}
    for field, colour in zip(fields, colours, strict=True):
        by_ink.setdefault(ink_on(colour), []).append(field)
    return [
        go.Scatter(
            x=[columns[column] for _, column, _ in some],
            y=[rows[row] for row, _, _ in some],
            text=[f"{score:.0f}" for _, _, score in some],
            textfont={"color": ink},
            unselected={"textfont": {"color": ink}},
            mode="text",
            hoverinfo="skip",
            showlegend=False,
        )
        for ink, some in by_ink.items()
    ]


def _let_click(figure: go.Figure, scores: pd.DataFrame, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Plotly tells nothing of a click on a heat map: a mark on each field takes it, seen only where one is chosen."""
    fields = _scored(scores)
    ring = {"symbol": "square-open", "size": 24, "line": {"width": 3}, "color": _RING, "opacity": 0}
    figure.add_scatter(
        x=[columns[column] for _, column, _ in fields],
        y=[rows[row] for row, _, _ in fields],
        customdata=[list(field) for field in fields],
        mode="markers",
        marker=ring,
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0}},
        hovertemplate=_HOVER.replace("SCORE", "customdata[2]"),
        showlegend=False,
    )
    figure.update_traces(hoverinfo="skip", hovertemplate=None, selector={"type": "heatmap"})
    figure.update_layout(hoverdistance=-1)  # wherever the mouse is, the next field is meant
    figure.update_xaxes(fixedrange=True)  # else a click could begin a zoom, and a finger could not scroll
    figure.update_yaxes(fixedrange=True)


def distinct(names: Sequence[str]) -> list[str]:
    """The names, numbered where they are the same: plotly would draw them over each other."""
    seen: dict[str, int] = {}
    shown = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        shown.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return shown
