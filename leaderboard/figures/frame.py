"""What all figures have in common: room for their buttons, and no gesture that keeps a phone from scrolling."""

from typing import Any

import plotly.graph_objects as go

_BUTTONS_PX = 34
"""Above every figure: touch screens always show the buttons, which would cover what is drawn there."""

_LEGEND = {"orientation": "h", "x": 0, "y": -0.24, "yanchor": "top", "title": None}
"""Below the figure."""


def frame(height: int, right_px: int = 8) -> dict[str, Any]:
    """The part of a layout that all figures share. A drag selects a part of them only after a click on its button.

    Args:
        height: In pixels.
        right_px: The margin on the right, for words beyond the axis.
    """
    return {
        "height": height,
        "margin": {"l": 8, "r": right_px, "t": _BUTTONS_PX, "b": 8},
        "legend": _LEGEND,
        "dragmode": False,
        "hovermode": "closest",
        "modebar": {"remove": ["pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale"]},
    }


def framed(figure: go.Figure, height: int) -> go.Figure:
    """A figure with that layout."""
    return figure.update_layout(frame(height))
