"""What each head of the model keeps, as tables."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...db.frames.mean_counts import MeanCounts

Counts = npt.NDArray[np.float64]
"""[L, H], tokens that each head keeps."""

_NEARLY_ALL = 0.995


def summarise(kept: Mapping[str, MeanCounts]) -> pd.DataFrame:
    """A row per configuration: how evenly it shares its budget among the heads.

    `unevenness` is the Gini coefficient over heads: 0 where all keep the same, near 1 where a few keep everything.

    Args:
        kept: By name of the configuration.
    """
    rows = [
        {
            "configuration": name,
            "tokens": each.tokens,
            "kept_per_head": each.counts.mean(),
            "kept_share": 100 * each.counts.mean() / each.tokens,
            "least": each.counts.min(),
            "most": each.counts.max(),
            "n_whole_heads": int((each.counts >= _NEARLY_ALL * each.tokens).sum()),
            "unevenness": gini(each.counts),
            "n_answers": each.n_answers,
        }
        for name, each in kept.items()
    ]
    return pd.DataFrame(rows)


def gini(counts: Counts) -> float:
    """Half the mean absolute difference of any two heads, over their mean; 0 where no head keeps anything."""
    ordered = np.sort(counts.ravel())
    n = len(ordered)
    if not ordered.sum():
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * ordered.sum()))


def head_by_head(first: Counts, second: Counts) -> pd.DataFrame:
    """A row per layer and KV head of two configurations of one model: what each keeps, and the difference."""
    layer, head = np.indices(first.shape)
    return pd.DataFrame(
        {
            "layer": layer.ravel(),
            "head": head.ravel(),
            "kept_a": first.ravel(),
            "kept_b": second.ravel(),
            "difference": (second - first).ravel(),
        }
    )
