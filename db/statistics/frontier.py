"""Which configurations no other one beats at both cost and quality, and how certain the quality of the best is."""

import numpy as np

from .arrays import Booleans, Floats, Integers
from .intervals import document_residuals, level_of, quantile_of, score_intervals
from .table import ScoreTable

N_DRAWN = 2_000


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


def frontier_band(table: ScoreTable, costs: Floats, at: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """(low, high) at each of some costs: an interval for the score of the best configuration that costs no more.

    The best one by these samples owes part of its score to luck, the more the more configurations there were to choose
    from. So the lower end is the highest of all lower ends, each as far down as the luckiest of so many would reach by
    chance: the quantile of the largest of their standardised means, whose correlations over the same samples are drawn
    with Gaussian multipliers (Chernozhukov, Lee and Rosen 2013, Econometrica 81(2), without dropping any; Chernozhukov,
    Chetverikov and Kato 2013, Annals of Statistics 41(6)). The upper end is the highest of all upper ends, which holds
    whichever is best. NaN where none costs so little.

    Args:
        table: Scores of all configurations.
        costs: [C], NaN for one that is left out.
        at: Costs.
        level: Of each interval.
    """
    low, high = np.full(len(at), np.nan), np.full(len(at), np.nan)
    order: Integers = np.argsort(costs, kind="stable")[: int((~np.isnan(costs)).sum())]
    n_within = np.searchsorted(costs[order], at, side="right")
    if not len(order) or not table.scores.size:
        return low, high
    luckiest = np.maximum.accumulate(_drawn_means(table, order), axis=1)
    upper = np.maximum.accumulate(score_intervals(table, level)[1][order])
    for number in np.unique(n_within[n_within > 0]).tolist():
        reach = max(quantile_of(level), float(np.quantile(luckiest[:, number - 1], (1 + level) / 2)))
        lower, _ = score_intervals(table, level_of(reach))
        low[n_within == number] = lower[order[:number]].max()
        high[n_within == number] = upper[number - 1]
    return low, high


def _drawn_means(table: ScoreTable, order: Integers) -> Floats:
    """[N_DRAWN, C] standardised means of some configurations, drawn together; 0 for one whose scores do not vary."""
    residuals = document_residuals(table)[order]
    size = np.sqrt((residuals * residuals).sum(axis=1))
    standard = residuals / np.where(size > 0, size, 1.0)[:, None]
    drawn: Floats = np.random.default_rng(0).standard_normal((N_DRAWN, standard.shape[1])) @ standard.T
    return drawn
