"""LU-KV's global greedy solver."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .lukv_hull import Plateaus


def greedy_evictions(plateaus: Plateaus, n_heads: int, targets: Sequence[int]) -> NDArray[np.int64]:
    """How many tokens every head evicts when the cheapest tokens of the whole model go first.

    Equal, count for count, to popping a heap of (marginal loss, head) over all heads one token at a time: the
    heads' marginals never fall, so that order is one sort of their runs. All targets share the one order, so
    larger targets contain smaller ones. Equal losses go to the lower head index.

    Source: LU-KV, arXiv 2602.08585, section 4 (greedy is exact on the relaxed problem, its figure 2a).

    Args:
        plateaus: The relaxed marginals of all heads.
        n_heads: Heads over all layers.
        targets: Tokens to evict over all heads, ascending, each at most the tokens there are.

    Returns:
        int64 [targets, heads].
    """
    order = np.lexsort((plateaus.heads, plateaus.values))
    heads, lengths = plateaus.heads[order], plateaus.lengths[order]
    ends = np.cumsum(lengths)
    evicted = np.zeros((len(targets), n_heads), dtype=np.int64)
    so_far = np.zeros(n_heads, dtype=np.int64)
    done = 0
    for row, target in enumerate(targets):
        whole = int(np.searchsorted(ends, target, side="right"))
        np.add.at(so_far, heads[done:whole], lengths[done:whole])
        done = max(done, whole)
        evicted[row] = so_far
        rest = target - (int(ends[whole - 1]) if whole else 0)
        if rest:
            evicted[row, heads[whole]] += rest
    return evicted
