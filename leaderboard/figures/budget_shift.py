"""How a method moves its budget between the layers as the budget shrinks."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from .. import text
from .maps import DIVERGING, layer_map

REACH = 2
"""The colours end at a quarter and at four times an equal share, in powers of two."""

_MARKS = {-2: "¼ or less", -1: "½", 0: "equal", 1: "2", 2: "4 or more"}


def budget_shift(counts: Mapping[str, npt.NDArray[np.float64]]) -> go.Figure:
    """What each layer keeps beside an equal share, budget by budget.

    Args:
        counts: [L, H] by the label of the budget, keep counts of the same model.
    """
    ratio = np.column_stack([each.mean(axis=1) / each.mean() for each in counts.values()])
    with np.errstate(divide="ignore"):
        power = np.log2(ratio)
    return layer_map(
        go.Heatmap(
            z=np.clip(power, -REACH, REACH),
            customdata=ratio,
            colorscale=DIVERGING,
            zmin=-REACH,
            zmax=REACH,
            colorbar={
                "tickvals": list(_MARKS),
                "ticktext": list(_MARKS.values()),
                "thickness": 12,
                "title": {"text": "times an<br>equal share"},
            },
            hovertemplate="layer %{y}: %{customdata:.2f} times an equal share<extra></extra>",
        ),
        "budget",
        [text.plotly(budget) for budget in counts],
    )
