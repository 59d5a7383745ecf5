"""LU-KV's convex relaxation of each head's eviction loss."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression


@dataclass(frozen=True)
class Plateaus:
    """The relaxed marginal losses of all heads, as runs of equal value.

    Inside a head, values rise from run to run: the first run is the cheapest to evict.

    Attributes:
        heads: int64 [runs], ascending.
        values: float64 [runs], the loss of evicting one token of the run.
        lengths: int64 [runs], tokens in the run.
    """

    heads: NDArray[np.int64]
    values: NDArray[np.float64]
    lengths: NDArray[np.int64]


def relax(importance: NDArray[np.floating]) -> Plateaus:
    """Replace each head's marginal losses by their closest non-decreasing sequence (least squares).

    Evicting a head's tokens in the scorer's order, worst first, loses their importance one by one. The
    scorer's order is not the importance's, so the loss is not convex in the number evicted; the projection
    makes it so, and the greedy solver exact. Equal to the lower convex hull of the cumulative loss.

    Source: LU-KV, arXiv 2602.08585, section 4 and appendix A.2 (pool adjacent violators).

    Args:
        importance: [heads, E], each head's oracle importance in eviction order, >= 0.
    """
    heads, values, lengths = [], [], []
    for head, row in enumerate(np.asarray(importance, dtype=np.float64)):
        fit = isotonic_regression(row)
        blocks = np.asarray(fit.blocks)
        heads.append(np.full(len(blocks) - 1, head, dtype=np.int64))
        values.append(np.asarray(fit.x)[blocks[:-1]])
        lengths.append(np.diff(blocks).astype(np.int64))
    return Plateaus(np.concatenate(heads), np.concatenate(values), np.concatenate(lengths))
