"""What the maps of layers and heads have in common."""

from collections.abc import Sequence

import plotly.graph_objects as go

from .frame import framed

SEQUENTIAL = "Cividis"
"""For amounts: read alike with any colour vision, and in grey."""

DIVERGING = ["#2B5C8A", "#7FA9CC", "#E3E6E8", "#EFBF8B", "#A9560A"]
"""For differences: blue is less, orange more."""

_ROW_PX = 13
_LEAST_PX, _MOST_PX = 260, 870


def layer_map(heatmap: go.Heatmap, across: str, ticks: Sequence[object] | None = None) -> go.Figure:
    """A map with the layers from top to bottom.

    Args:
        heatmap: With a row per layer.
        across: What the columns are.
        ticks: Their names; their numbers where None.
    """
    n_layers, n_columns = len(heatmap.z), len(heatmap.z[0])
    figure = go.Figure(heatmap)
    figure.update_yaxes(title="layer", autorange="reversed", dtick=_step(n_layers), showgrid=False, zeroline=False)
    figure.update_xaxes(title=across, dtick=_step(n_columns), showgrid=False, zeroline=False)
    if ticks is not None:
        figure.update_xaxes(tickvals=list(range(n_columns)), ticktext=list(ticks))
    height = min(max(_LEAST_PX, _ROW_PX * n_layers), _MOST_PX)
    return framed(figure, height + 136)


def _step(n: int) -> int:
    """Between two numbers of an axis, so that there are sixteen of them at most."""
    return next(step for step in (1, 2, 4, 5, 8, 10, 16, 20, 50, 100, 1000, n) if n <= 16 * step)
