"""Which configurations no other one beats at both cost and quality."""

import numpy as np

from .arrays import Booleans, Floats


def pareto(costs: Floats, scores: Floats) -> Booleans:
    """[C]: whether no other configuration costs no more and scores no less, with one of the two better.

    Equal ones are on the frontier together. What costs or scores NaN is not, and beats nothing.

    Args:
        costs: [C], smaller is better: bytes kept, share kept.
        scores: [C], larger is better.
    """
    is_on = np.zeros(len(costs), dtype=bool)
    best = -np.inf
    known = np.flatnonzero(~(np.isnan(costs) | np.isnan(scores)))
    order = known[np.lexsort((-scores[known], costs[known]))]
    last_cost = np.nan
    for index in order:
        if scores[index] > best or (scores[index] == best and costs[index] == last_cost):
            is_on[index] = True
            best, last_cost = scores[index], costs[index]
    return is_on
