"""Scores by budget between their floors and their ceilings."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from .. import text
from ..theme import REFERENCE, styles, translucent
from .frame import frame

_BEST = "#D55E00"
_DASHES = {"floor": "dot", "oracle": "dash"}


def ceiling_figure(table: pd.DataFrame) -> go.Figure:
    """A line for each floor and each oracle, one for the best method at each budget, and a point for every other one.

    Args:
        table: Of `tables.ceilings.ceiling_table`.
    """
    traces = [*_references(table), *_methods(table[table["kind"] == "method"])]
    axes: dict[str, Any] = {
        "xaxis": {"title": {"text": "bytes kept, % of the full cache"}},
        "yaxis": {"title": {"text": "score"}, "range": [-2, 103]},
    }
    return go.Figure({"data": traces, "layout": {**axes, **frame(440)}})


def _references(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    references = table[table["kind"] != "method"]
    looks = styles(references["method"].astype(str))
    for (kind, method), rows in references.groupby(["kind", "method"], sort=True):
        look = looks[str(method)]
        yield {
            **_points(rows.sort_values("kept_percent")),
            "mode": "lines+markers",
            "name": f"{kind}: {text.plotly(method)}",
            "line": {"color": look["colour"], "dash": _DASHES[str(kind)], "width": 2},
            "marker": {"symbol": look["marker"], "size": 7},
        }


def _methods(methods: pd.DataFrame) -> Iterator[dict[str, Any]]:
    best, others = methods[methods["is_best"]], methods[~methods["is_best"]]
    yield {
        **_points(others),
        "mode": "markers",
        "name": "other methods",
        "marker": {"color": translucent(REFERENCE, 0.55), "size": 7},
    }
    yield {
        **_points(best.sort_values("kept_percent")),
        "mode": "lines+markers",
        "name": "the best method",
        "line": {"color": _BEST, "width": 3},
        "marker": {"size": 8},
    }


def _points(rows: pd.DataFrame) -> dict[str, Any]:
    shares = [
        "" if pd.isna(share) else f"<br>{share:.0f}% of the way to the oracle" for share in rows["share_of_oracle"]
    ]
    return {
        "type": "scatter",
        "x": rows["kept_percent"].tolist(),
        "y": rows["score"].tolist(),
        "customdata": [[text.plotly(name), share] for name, share in zip(rows["name"], shares, strict=True)],
        "hovertemplate": "%{customdata[0]}<br>score %{y:.1f}%{customdata[1]}<extra></extra>",
    }
