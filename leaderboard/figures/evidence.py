"""What was kept of the evidence against the score, and what became of answers that were to be copied."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from .. import text
from ..tables.evidence import OUTCOMES
from ..theme import CATEGORIES
from .frame import frame

_FILLS = dict(zip(OUTCOMES, (("#009E73", ""), ("#E69F00", "/"), (CATEGORIES[-1], ".")), strict=True))
"""Colour and pattern of each outcome: nothing is told by colour alone."""


def evidence_figure(points: pd.DataFrame, styles: Mapping[str, Mapping[str, str]]) -> go.Figure:
    """A point per configuration: its score against the share of the evidence that it keeps.

    Args:
        points: Of `tables.evidence.evidence_points`.
        styles: Of `theme.styles`, by allocator.
    """
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": text.plotly(allocator),
            "x": rows["kept_percent"].tolist(),
            "y": rows["score"].tolist(),
            "marker": {
                "color": styles[str(allocator)]["colour"],
                "symbol": styles[str(allocator)]["marker"],
                "size": 9,
            },
            "customdata": [[text.plotly(name)] for name in rows["name"]],
            "hovertemplate": "%{customdata[0]}<br>score %{y:.1f}, %{x:.1f}% of the evidence kept<extra></extra>",
        }
        for allocator, rows in points.groupby("allocator", sort=True)
    ]
    axes: dict[str, Any] = {
        "xaxis": {"title": {"text": "evidence kept, %"}, "range": [-3, 103]},
        "yaxis": {"title": {"text": "score"}, "range": [-2, 103]},
    }
    return go.Figure({"data": traces, "layout": {**axes, **frame(420)}})


def outcome_figure(table: pd.DataFrame) -> go.Figure:
    """A bar per budget, parted into found, miscopied and missed.

    Args:
        table: Of `tables.evidence.outcome_table`, of one task and length.
    """
    budgets = [text.plotly(budget) for budget in table["budget"]]
    traces = [
        {
            "type": "bar",
            "name": outcome,
            "x": budgets,
            "y": table[outcome].tolist(),
            "marker": {"color": _FILLS[outcome][0], "pattern": {"shape": _FILLS[outcome][1]}},
            "customdata": [[int(n)] for n in table["n"]],
            "hovertemplate": f"%{{x}}<br>{outcome}: %{{y:.1f}}% of %{{customdata[0]}} answers<extra></extra>",
        }
        for outcome in OUTCOMES
    ]
    axes: dict[str, Any] = {
        "xaxis": {"title": {"text": "budget"}, "type": "category"},
        "yaxis": {"title": {"text": "answers, %"}, "range": [0, 103]},
        "barmode": "stack",
    }
    return go.Figure({"data": traces, "layout": {**axes, **frame(360)}})
