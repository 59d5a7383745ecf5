"""Quality against budget: the area under the curve, and the loss relative to the full cache."""

from collections.abc import Mapping, Sequence

import numpy as np

from .arrays import Floats
from .intervals import difference_intervals, quantile_of
from .table import ScoreTable


def areas(table: ScoreTable, curves: Mapping[str, Sequence[tuple[float, int]]]) -> ScoreTable:
    """Each method's area under its quality-budget curve, as a score of every sample: intervals and ranks are a score's.

    The area is the trapezoidal one over the share of the cache that is kept, divided by the range of shares: the mean
    quality, 0 to 100, over budgets between the smallest and the largest. Areas compare methods over the same budgets.

    Args:
        table: Scores of all configurations.
        curves: Method -> (budget, row of the table) of each of its configurations, at least two, budgets distinct.

    Raises:
        ValueError: a method has fewer than two budgets, the same one twice, or others than the first method's.
    """
    budgets = {method: [budget for budget, _ in sorted(points)] for method, points in curves.items()}
    first = next(iter(budgets.values()), [])
    for method, of_method in budgets.items():
        if len(set(of_method)) != len(of_method) or len(of_method) < 2:
            raise ValueError(f"{method}: a curve needs at least two budgets, each once, not {of_method}")
        if len(of_method) != len(first) or not np.allclose(of_method, first):
            raise ValueError(f"{method}: areas compare methods over the same budgets: {of_method} are not {first}")
    rows = [
        _trapezoids(budgets[method]) @ table.scores[[row for _, row in sorted(curves[method])]] for method in curves
    ]
    scores = np.clip(np.array(rows).reshape(len(curves), len(table.task)), 0, 100)
    return ScoreTable(list(curves), scores, table.task, table.document)


def _trapezoids(budgets: Sequence[float]) -> Floats:
    """The weight of each point, summing to 1."""
    gaps = np.diff(budgets)
    weights: Floats = (np.r_[gaps, 0.0] + np.r_[0.0, gaps]) / (2 * (budgets[-1] - budgets[0]))
    return weights


def relative_losses(table: ScoreTable, full: int) -> tuple[Floats, Floats, Floats]:
    """(loss, low, high) [C]: how much less than the full cache each configuration scores, in percent of its score.

    loss = 100 (1 - r), r the ratio of the mean scores over the same samples. The interval is that of the mean of
    score - r * (full cache's score), which is 0, divided by the full cache's mean (the linearised ratio: Cochran 1977,
    Sampling Techniques, section 6.3), with Student's quantile, since the ratio is estimated from the same few samples.
    NaN where the full cache scores 0. A negative loss is a gain.

    Args:
        table: Scores of all configurations.
        full: Row of the full cache.
    """
    means = table.means()
    if not means[full] > 0:
        nothing = np.full(len(means), np.nan)
        return nothing, nothing, nothing
    ratio = means / means[full]
    residuals = table.scores - ratio[:, None] * table.scores[full]
    residuals[np.abs(residuals) < 1e-9] = 0.0
    low, high = difference_intervals(residuals, table.task, table.document)
    reach = 100 / means[full] * _student_factor(len(table.first_of_document), len(np.unique(table.task)))
    loss = 100 * (1 - ratio)
    lowest, highest = loss - reach * high, loss - reach * low
    loss[full] = lowest[full] = highest[full] = 0.0
    return loss, lowest, highest


def _student_factor(n_documents: int, n_tasks: int) -> float:
    """How much wider Student's 95% interval is than the normal one with the deviation over n, not n - 1."""
    from scipy.special import stdtrit

    freedom = max(1, n_documents - n_tasks)
    return float(stdtrit(freedom, 0.975) / quantile_of(0.95) * (n_documents / freedom) ** 0.5)
