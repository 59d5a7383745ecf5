"""How much every head of the model keeps, and how two configurations differ in it."""

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from .maps import DIVERGING, SEQUENTIAL, layer_map

Shares = npt.NDArray[np.float64]
"""[L, H], percent of the tokens that a head keeps."""


def budget_map(shares: Shares, most: float) -> go.Figure:
    """Percent of the tokens that each head keeps.

    Args:
        shares: [L, H].
        most: The end of the colour scale, the same for maps that are to be held side by side.
    """
    return layer_map(
        go.Heatmap(
            z=shares,
            colorscale=SEQUENTIAL,
            zmin=0,
            zmax=max(most, 1e-9),
            colorbar={"ticksuffix": "%", "thickness": 12, "title": {"text": "kept"}},
            hovertemplate="layer %{y}, head %{x}: %{z:.1f}% kept<extra></extra>",
        ),
        "KV head",
    )


def difference_map(first: Shares, second: Shares) -> go.Figure:
    """Percentage points that the second keeps more (orange) or less (blue) than the first, head by head."""
    difference = second - first
    reach = max(float(np.nanmax(np.abs(difference), initial=0.0)), 1e-9)
    return layer_map(
        go.Heatmap(
            z=difference,
            colorscale=DIVERGING,
            zmin=-reach,
            zmax=reach,
            colorbar={"ticksuffix": " pp", "thickness": 12, "title": {"text": "B - A"}},
            hovertemplate="layer %{y}, head %{x}: %{z:+.1f} points<extra></extra>",
        ),
        "KV head",
    )
