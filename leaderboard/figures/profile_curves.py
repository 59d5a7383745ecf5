"""LU-KV's curves: the share that a profile gives to each layer or head, from the mildest to the harshest target."""

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from .frame import framed
from .maps import SEQUENTIAL

Curve = npt.NDArray[np.float32]
"""[targets, L, H], shares of the evictable tokens that each head keeps."""


def is_curve(array: npt.NDArray[np.float32]) -> bool:
    """Whether an array of a profile holds shares by target, layer and head."""
    return (
        array.ndim == 3 and array.size > 0 and bool(np.isfinite(array).all()) and 0 <= array.min() <= array.max() <= 1
    )


def layer_curves(curve: Curve) -> go.Figure:
    """A line per layer: the mean over its heads. Early layers are dark, late ones bright."""
    return _lines(curve.mean(axis=2), "layer")


def head_curves(curve: Curve, layer: int) -> go.Figure:
    """A line per KV head of a layer."""
    return _lines(curve[:, layer], "head")


def _lines(shares: Curve, kind: str) -> go.Figure:
    n_targets, n_lines = shares.shape
    pruned = 100 * np.arange(1, n_targets + 1) / (n_targets + 1)
    colours = sample_colorscale(SEQUENTIAL, np.linspace(0.05, 0.95, n_lines) if n_lines > 1 else [0.5])
    figure = go.Figure()
    for number, colour in enumerate(colours):
        figure.add_scatter(
            x=pruned,
            y=100 * shares[:, number],
            line={"color": colour, "width": 1.5},
            name=f"{kind} {number}",
            showlegend=n_lines <= 16,
            hovertemplate=f"{kind} {number}: %{{y:.1f}}% kept at %{{x:.0f}}% pruned<extra></extra>",
        )
    equal = {"color": "#7F7F7F", "width": 2, "dash": "dash"}
    figure.add_scatter(x=[0, 100], y=[100, 0], line=equal, mode="lines", name="equal share", hoverinfo="skip")
    if n_lines > 16:
        figure.add_scatter(x=[None], y=[None], marker=_colour_bar(n_lines, kind), mode="markers", showlegend=False)
    figure.update_xaxes(title="evictable tokens pruned", ticksuffix="%", range=[0, 100])
    figure.update_yaxes(title="kept by the " + kind, ticksuffix="%", range=[0, 101])
    return framed(figure, 460)


def _colour_bar(n_lines: int, kind: str) -> dict[str, object]:
    """Stands for the names of so many lines."""
    return {
        "color": [0],
        "colorscale": SEQUENTIAL,
        "cmin": 0,
        "cmax": n_lines - 1,
        "showscale": True,
        "colorbar": {"title": {"text": kind}, "thickness": 12},
    }
