"""Intervals for mean scores in [0, 100] and for mean differences, for many at once. None of them ever has no width."""

from statistics import NormalDist

import numpy as np

from .arrays import Floats, Integers
from .table import ScoreTable


def score_intervals(table: ScoreTable, level: float = 0.95) -> tuple[Floats, Floats]:
    """(low, high) [C] of each configuration's mean over tasks.

    Wilson's interval for as many independent right and wrong answers as would vary like the mean does (Franco, Little,
    Louis and Slud 2019, Journal of Survey Statistics and Methodology 7(3)): over one task's independent right and wrong
    answers it is Wilson's own, graded scores make it narrower, and samples that share documents wider. Where the
    variance is estimated, Student's quantile at Satterthwaite's degrees of freedom allows for that.
    """
    means = np.clip(table.means(), 0, 100)
    parts = [task_variances(scores, document) for scores, document in table.by_task()]
    n_tasks = max(1, len(parts))
    shares = np.array([variance for variance, _ in parts]).reshape(len(parts), len(means)) / n_tasks**2
    freedom = np.array([freedom for _, freedom in parts]).reshape(shares.shape)
    variance = shares.sum(axis=0)
    quantile = _student(level, variance**2 / np.maximum((shares**2 / freedom).sum(axis=0), 1e-300))
    n_documents = [len(np.unique(document)) for _, document in table.by_task()]
    n_least = n_tasks**2 / sum(1 / n for n in n_documents) if n_documents else 1.0
    is_inside = (means > 0) & (means < 100)
    n = np.full(len(means), n_least)
    n[is_inside] = (means * (100 - means) / variance * (quantile_of(level) / quantile) ** 2)[is_inside]
    if len(table.first_of_document) == len(table.task):  # independent scores vary no more than right and wrong ones
        is_plain = (n_tasks == 1) & np.isinf(freedom).all(axis=0)
        n = np.where(is_plain, n_least, np.maximum(n, n_least))
    return wilson(means, n, level)


def cell_intervals(sums: Floats, squares: Floats, n: Integers, level: float = 0.95) -> tuple[Floats, Floats]:
    """(low, high) of the mean of each cell's independent scores: what `score_intervals` gives for one task.

    ValueError for a cell without scores.

    Args:
        sums: Of each cell's scores [0, 100].
        squares: Sums of the squared scores.
        n: Number of scores.
        level: Of confidence.
    """
    _check_numbers(n)
    means = np.clip(sums / n, 0, 100)
    variance = np.maximum(0, squares - n * means**2) / np.maximum(1, n - 1) / n
    is_plain = (np.abs(100 * sums - squares) < 1e-6 * n) | (variance < 1e-12)
    quantile = _student(level, np.where(is_plain, np.inf, np.maximum(1.0, n - 1.0)))
    similar = means * (100 - means) / np.where(is_plain, 1, variance) * (quantile_of(level) / quantile) ** 2
    return wilson(means, np.where(is_plain, n, np.maximum(n, similar)), level)


def task_variances(scores: Floats, document: Integers) -> tuple[Floats, Floats]:
    """(variance [C], degrees of freedom [C]) of the mean over one task.

    From the documents' sums (Liang and Zeger 1986, Biometrika 73(1), with the factor D / (D - 1)). Independent right
    and wrong answers, and those that show no variance, have that of (right + 1/2) / (n + 1) right answers, as known.

    Args:
        scores: [C, S], 0 to 100.
        document: [S], sorted.
    """
    n_samples = scores.shape[1]
    first = np.flatnonzero(np.r_[True, np.diff(document) != 0])
    means = scores.mean(axis=1)
    sums = np.add.reduceat(scores - means[:, None], first, axis=1)
    n = len(first)
    variance = (sums * sums).sum(axis=1) / n_samples**2 * n / max(1, n - 1)
    is_known = variance < 1e-12
    if n == n_samples:
        is_known |= ((scores == 0) | (scores == 100)).all(axis=1)
    smoothed = (means * n + 50) / (n + 1)
    variance = np.where(is_known, smoothed * (100 - smoothed) / n, variance)
    return variance, np.where(is_known, np.inf, float(max(1, n - 1)))


def document_residuals(table: ScoreTable) -> Floats:
    """[C, D]: what each document adds to a configuration's mean beyond what a document of its task does on average."""
    means = np.hstack(
        [np.repeat(scores.mean(axis=1)[:, None], scores.shape[1], axis=1) for scores, _ in table.by_task()]
    )
    residuals: Floats = np.add.reduceat((table.scores - means) * table.weight, table.first_of_document, axis=1)
    return residuals


def _student(level: float, freedom: Floats) -> Floats:
    """Student's two-sided quantile; beyond 10,000 degrees of freedom the normal one."""
    quantile = np.full(np.shape(freedom), quantile_of(level))
    few = freedom <= 10_000
    if few.any():
        from scipy.special import stdtrit  # a third of what a table of right and wrong answers takes

        quantile[few] = stdtrit(freedom[few], (1 + level) / 2)
    return quantile


def wilson(means: Floats, n: Integers | Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """(low, high) of Wilson's score interval for each mean [0, 100] over its number of samples.

    Exact in form for scores of 0 and 100. In between it is conservative: no scores with mean p vary more than those.
    ValueError for a mean outside [0, 100] or without samples.
    """
    if not ((means >= 0) & (means <= 100)).all():  # NaN is neither
        raise ValueError("mean scores are in [0, 100], and none may be missing")
    _check_numbers(n)
    z = quantile_of(level)
    p = means / 100
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = np.maximum(0.0, np.minimum(p, centre - half)), np.minimum(1.0, np.maximum(p, centre + half))
    return 100 * low, 100 * high


def difference_intervals(
    differences: Floats, task: Integers, document: Integers, level: float = 0.95
) -> tuple[Floats, Floats]:
    """(low, high) [C] of mean differences over tasks, from differences [C, S] over the same samples.

    Each task's interval is `bonett_price`'s over its documents, whose two added differences are shared among the tasks.
    The interval of their mean reaches as far down as the root of the sum of the squares of what theirs do, and as far
    up (Zou, Huang and Zhang 2009, Computational Statistics and Data Analysis 53(4)).
    """
    table = ScoreTable([""] * len(differences), differences, task, document)
    parts = [document_means(values, of_document) for values, of_document in table.by_task()]
    n_tasks = max(1, len(parts))
    moments = [(units.sum(axis=1), (units * units).sum(axis=1), (units != 0).sum(axis=1)) for units in parts]
    size = _typical_size(sum(m[1] for m in moments), sum(m[2] for m in moments))
    below, above = np.zeros((2, len(differences)))
    for units, (sums, squares, _) in zip(parts, moments, strict=True):
        n = units.shape[1]
        low, high = _adjusted_wald(sums, squares, size, np.array(float(n)), 2 / n_tasks, level)
        below += (sums / n - low) ** 2
        above += (high - sums / n) ** 2
    centre = table.means()
    return np.maximum(-100.0, centre - np.sqrt(below) / n_tasks), np.minimum(100.0, centre + np.sqrt(above) / n_tasks)


def document_means(values: Floats, document: Integers) -> Floats:
    """[C, D] of values [C, S] of one task: each document's share of the mean, so that their mean is that of the values.

    Sums that are rounding alone are 0.
    """
    first = np.flatnonzero(np.r_[True, np.diff(document) != 0])
    sums = np.add.reduceat(values, first, axis=1)
    sums[np.abs(sums) < 1e-9] = 0.0
    means: Floats = sums * (len(first) / values.shape[1])
    return means


def bonett_price(
    sums: Floats, squares: Floats, nonzero: Integers, n: Integers, level: float = 0.95
) -> tuple[Floats, Floats]:
    """(low, high) of Bonett and Price's adjusted Wald interval for the mean of paired differences.

    Theirs (2012, Journal of Educational and Behavioral Statistics 37(4)) adds one sample that a alone wins and one that
    b alone wins to a table of 0 and 1, and then is Wald's. Here the two added differences are of the size that the
    others have where they are not 0 (root mean square): 100 for right and wrong answers, as theirs, less for graded
    scores, and 100 where all are 0. ValueError for a pair without shared samples.

    Args:
        sums: Of each pair's differences [-100, 100] over the samples that the two share.
        squares: Sums of the squared differences.
        nonzero: Number of differences that are not 0.
        n: Number of samples shared.
        level: Of confidence.
    """
    _check_numbers(n)
    low, high = _adjusted_wald(sums, squares, _typical_size(squares, nonzero), n.astype(np.float64), 2.0, level)
    return np.maximum(-100.0, low), np.minimum(100.0, high)


def _typical_size(squares: Floats, nonzero: Integers) -> Floats:
    """Root mean square of the differences that are not 0; 100 where all are."""
    size: Floats = np.where(nonzero > 0, np.sqrt(squares / np.maximum(nonzero, 1)), 100.0)
    return size


def _adjusted_wald(
    sums: Floats, squares: Floats, size: Floats, n: Floats, added: float, level: float
) -> tuple[Floats, Floats]:
    """Wald's interval of n values and `added` more, half of them `size` and half -`size`."""
    adjusted = n + added
    centre = sums / adjusted
    variance = (squares + added * size * size) / adjusted - centre * centre
    half = quantile_of(level) * np.sqrt(variance / adjusted)
    return centre - half, centre + half


def _check_numbers(n: Integers | Floats) -> None:
    if not (n > 0).all():
        raise ValueError("an interval needs at least one score")


def level_of(quantile: float) -> float:
    """The level of a two-sided interval that reaches so many standard errors."""
    return 2 * NormalDist().cdf(quantile) - 1


def quantile_of(level: float) -> float:
    """How many standard errors a two-sided interval of a level reaches. ValueError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not at {level}")
    return NormalDist().inv_cdf((1 + level) / 2)
