"""Intervals for scores in [0, 100], over frames and plain sequences. None of them ever has no width."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd

Scores = Sequence[float] | npt.NDArray[np.float64] | pd.Series
"""One score per sample, in [0, 100]."""


@dataclass(frozen=True)
class Interval:
    """A mean [0, 100] with its interval, over n samples."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class PairedDifference:
    """The mean of a - b over n shared samples [-100, 100], with its interval."""

    mean: float
    low: float
    high: float
    n: int


def mean_interval(scores: Scores, level: float = 0.95) -> Interval:
    """The mean of scores with Wilson's score interval.

    Exact in form for scores of 0 and 100. In between it is conservative: no scores with mean p vary more than those.
    ValueError without scores, or for one outside [0, 100].
    """
    values = _scores(scores)
    n, p, z = len(values), float(values.mean()) / 100, _quantile(level)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * ((p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5)
    return Interval(100 * p, 100 * max(0.0, centre - half), 100 * min(1.0, centre + half), n)


def paired_difference(a: Scores, b: Scores, level: float = 0.95) -> PairedDifference:
    """The mean of a - b, sample by sample, with Bonett and Price's (2012) adjusted Wald interval.

    Theirs adds one sample that a alone wins and one that b alone wins to a table of 0 and 1, and then is Wald's.
    The same two samples, +100 and -100, serve any scores, and keep the interval open when all differences are equal.
    ValueError for scores of unequal number, for none, or for one outside [0, 100].
    """
    left, right = _scores(a), _scores(b)
    if len(left) != len(right):
        raise ValueError(f"paired scores differ in number: {len(left)} and {len(right)}")
    differences = left - right
    adjusted = np.append(differences, (100.0, -100.0))
    half = _quantile(level) * float(adjusted.std()) / len(adjusted) ** 0.5
    centre = float(adjusted.mean())
    return PairedDifference(
        float(differences.mean()), max(-100.0, centre - half), min(100.0, centre + half), len(differences)
    )


def paired(frame: pd.DataFrame, cell_a: str, cell_b: str, level: float = 0.95) -> PairedDifference:
    """How much better cell a is than cell b, over the samples that both have in a `scores_frame`.

    ValueError when they share none.
    """
    columns = ["sample", "score"]
    a, b = (frame.loc[frame["cell"] == cell, columns] for cell in (cell_a, cell_b))
    both = a.merge(b, on="sample", suffixes=("_a", "_b"), validate="one_to_one")
    if both.empty:
        raise ValueError(f"cells {cell_a} and {cell_b} share no scored sample")
    return paired_difference(both["score_a"], both["score_b"], level)


def _scores(scores: Scores) -> npt.NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError("an interval needs at least one score")
    if not ((values >= 0) & (values <= 100)).all():  # NaN is neither
        raise ValueError("scores are in [0, 100], and none may be missing")
    return values


def _quantile(level: float) -> float:
    """How many standard errors a two-sided interval of a level reaches. ValueError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not at {level}")
    return NormalDist().inv_cdf((1 + level) / 2)
