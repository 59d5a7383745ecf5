"""Intervals for mean scores in [0, 100], for many cells at once. None of them ever has no width."""

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def wilson(means: Floats, n: Integers, level: float = 0.95) -> tuple[Floats, Floats]:
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


def _check_numbers(n: Integers) -> None:
    if not (n >= 1).all():
        raise ValueError("an interval needs at least one score")


def _quantile(level: float) -> float:
    """How many standard errors a two-sided interval of a level reaches. ValueError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not at {level}")
    return NormalDist().inv_cdf((1 + level) / 2)
