"""Intervals for mean scores in [0, 100], for many cells at once. None of them ever has no width."""

from itertools import pairwise
from statistics import NormalDist

import numpy as np

from .arrays import Floats, Integers
from .table import ScoreTable


def score_intervals(table: ScoreTable, level: float = 0.95) -> tuple[Floats, Floats]:
    """(low, high) [C] of each configuration's mean over tasks.

    Each task's interval is `clustered`'s; the interval of their mean reaches as far below it as the root of the sum of
    the squares of what theirs do (Zou, Huang and Zhang 2009, Computational Statistics and Data Analysis 53(4)).
    """
    starts = np.flatnonzero(np.r_[True, np.diff(table.task) != 0])[: len(table.task)]
    bounds = [*starts.tolist(), len(table.task)]
    below, above = np.zeros((2, len(table.scores)))
    for start, end in pairwise(bounds):
        scores = table.scores[:, start:end]
        low, high = clustered(scores, table.document[start:end], level)
        means = scores.mean(axis=1)
        below += (means - low) ** 2
        above += (high - means) ** 2
    centre, n_tasks = table.means(), max(1, len(starts))
    return centre - np.sqrt(below) / n_tasks, centre + np.sqrt(above) / n_tasks


def clustered(scores: Floats, document: Integers, level: float = 0.95) -> tuple[Floats, Floats]:
    """(low, high) [C] for the means of scores [C, S] of one task, of which those of one document depend on each other.

    Wilson's interval for as many independent right and wrong answers as would vary like these (Franco, Little, Louis
    and Slud 2019, Journal of Survey Statistics and Methodology 7(3)). Independent right and wrong answers are counted
    as they are, and independent graded ones for at least as many.

    Args:
        scores: [C, S], 0 to 100.
        document: [S], sorted.
        level: Of confidence.
    """
    n_samples = scores.shape[1]
    first = np.flatnonzero(np.r_[True, np.diff(document) != 0])
    means = np.clip(scores.mean(axis=1), 0, 100)
    sums = np.add.reduceat(scores - means[:, None], first, axis=1)
    n_documents = len(first)
    variance = (sums * sums).sum(axis=1) / n_samples**2 * n_documents / max(1, n_documents - 1)
    is_independent = n_documents == n_samples
    n = effective_n(means, variance, n_documents, level)
    if is_independent:
        is_right_or_wrong = ((scores == 0) | (scores == 100)).all(axis=1)
        n = np.where(is_right_or_wrong, n_samples, np.maximum(n, n_samples))
    return wilson(means, n, level)


def effective_n(means: Floats, variance: Floats, n_documents: int, level: float = 0.95) -> Floats:
    """How many independent right and wrong answers with these means would vary as much as the means do.

    Args:
        means: [C], 0 to 100.
        variance: [C], of the means, estimated from documents.
        n_documents: Of them; where no variance is seen, they are what is counted.
        level: Of the interval: few documents make the estimate uncertain, which Student's quantile allows for.
    """
    from scipy.special import stdtrit

    if n_documents < 2:
        return np.full(len(means), float(n_documents))
    shrinkage = (_quantile(level) / stdtrit(n_documents - 1, (1 + level) / 2)) ** 2
    has_variance = variance > 1e-12
    n: Floats = np.full(len(means), float(n_documents))
    n[has_variance] = (means * (100 - means))[has_variance] / variance[has_variance] * shrinkage
    return n


def wilson(means: Floats, n: Integers | Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """(low, high) of Wilson's score interval for each mean [0, 100] over its number of samples.

    Exact in form for scores of 0 and 100. In between it is conservative: no scores with mean p vary more than those.
    ValueError for a mean outside [0, 100] or without samples.
    """
    if not ((means >= 0) & (means <= 100)).all():  # NaN is neither
        raise ValueError("mean scores are in [0, 100], and none may be missing")
    _check_numbers(n)
    z = _quantile(level)
    p = means / 100
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return 100 * np.maximum(0.0, centre - half), 100 * np.minimum(1.0, centre + half)


def bonett_price(sums: Floats, squares: Floats, n: Integers, level: float = 0.95) -> tuple[Floats, Floats]:
    """(low, high) of Bonett and Price's (2012) adjusted Wald interval for the mean of paired differences.

    Theirs adds one sample that a alone wins and one that b alone wins to a table of 0 and 1, and then is Wald's.
    The same two samples, +100 and -100, serve any scores, and keep the interval open when all differences are equal.
    ValueError for a pair without shared samples.

    Args:
        sums: Of each pair's differences [-100, 100] over the samples that the two share.
        squares: Sums of the squared differences.
        n: Number of samples shared.
        level: Of confidence.
    """
    _check_numbers(n)
    z = _quantile(level)
    adjusted = n + 2
    centre = sums / adjusted
    variance = (squares + 2 * 100.0**2) / adjusted - centre * centre
    half = z * np.sqrt(variance / adjusted)
    return np.maximum(-100.0, centre - half), np.minimum(100.0, centre + half)


def _check_numbers(n: Integers | Floats) -> None:
    if not (n > 0).all():
        raise ValueError("an interval needs at least one score")


def _quantile(level: float) -> float:
    """How many standard errors a two-sided interval of a level reaches. ValueError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not at {level}")
    return NormalDist().inv_cdf((1 + level) / 2)
