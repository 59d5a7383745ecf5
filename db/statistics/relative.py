"""Whether configurations keep a share of the full cache's score, and how many samples would tell."""

from dataclasses import dataclass
from math import ceil, log

import numpy as np

from .arrays import Floats, Integers
from .curves import relative_losses
from .families import holm
from .intervals import document_means
from .paired import samples_needed, variance_of_mean
from .table import ScoreTable

STAKES = (1.0, 0.8, 0.5, 0.2, 0.05)
"""Shares of the largest stake that the test divides itself among."""


@dataclass(frozen=True)
class Qualities:
    """What the samples say of each of some configurations. Qualities are percent of the full cache's score.

    Attributes:
        quality, low, high: [C], with the 95% interval of `curves.relative_losses`.
        p_value: [C], of the hypothesis that the quality is not above the target, see `margin_p`.
        p_holm: [C], corrected for all C.
        needed: [C], samples that would show it, see `_needed`; None where the quality is exactly the target.
    """

    quality: Floats
    low: Floats
    high: Floats
    p_value: Floats
    p_holm: Floats
    needed: list[int | None]


def qualities(table: ScoreTable, full: int, chosen: Integers, share: float, level: float = 0.95) -> Qualities:
    """Test of some configurations whether their mean score is above a share of the full cache's, all as one family.

    Args:
        table: Scores; the full cache's mean is above 0.
        full: Row of the full cache.
        chosen: [C], rows of the configurations.
        share: Of the full cache's score, 0 < share <= 1.
        level: Of the test: the chance that any that is not above the share is called so is at most 1 - level.

    Raises:
        ValueError: the full cache scores 0.
    """
    if not table.means()[full] > 0:
        raise ValueError("a full cache that scores 0 leaves nothing to keep a share of")
    loss, low, high = (values[chosen] for values in relative_losses(table, full))
    margins = table.scores[chosen] - share * table.scores[full]
    growth = _growth(margins, table, share)
    p_value = _p(growth)
    tasks = ScoreTable(["margins"], margins, table.task, table.document).by_task()
    units = [document_means(values, document) for values, document in tasks]
    needed = [
        _needed([of_task[row] for of_task in units], growth[:, row], margins.shape[1], len(chosen), level)
        for row in range(len(chosen))
    ]
    return Qualities(100 - loss, 100 - high, 100 - low, p_value, holm(p_value, level)[1], needed)


def margin_p(margins: Floats, table: ScoreTable, share: float) -> Floats:
    """[C] p-values of the hypothesis that the expected mean of some margins over tasks is 0 or less.

    They hold for any scores in [0, 100] and any number of samples, where a normal interval would be sure too soon: 12
    of 12 right answers show no variance. The test is a bet: each document multiplies the capital by 1 + stake x its
    margin, which under the hypothesis does not grow on average, so a capital of 1/p is as rare as p (Waudby-Smith and
    Ramdas 2024, JRSS B 86(1)). The largest stake risks all capital on one full loss; without losses the bet at that
    stake alone would be the exact binomial test. The capital is divided evenly among STAKES.

    Args:
        margins: [C, S], score less `share` times the full cache's score.
        table: Tasks and documents of the samples.
        share: 0 < share <= 1.
    """
    return _p(_growth(margins, table, share))


def _growth(margins: Floats, table: ScoreTable, share: float) -> Floats:
    """[len(STAKES), C]: the logarithm of what each bet's capital grew to."""
    first = table.first_of_document
    units = np.add.reduceat(margins * table.weight, first, axis=1)
    most = 100 * share * np.add.reduceat(table.weight, first).max()
    with np.errstate(divide="ignore"):  # a bet that lost all
        return np.stack([np.log1p(np.maximum(stake * units / most, -1)).sum(axis=1) for stake in STAKES])


def _p(growth: Floats) -> Floats:
    capital = np.logaddexp.reduce(growth, axis=0) - log(len(STAKES))
    p_value: Floats = np.exp(-np.maximum(capital, 0.0))
    return p_value


def _needed(units: list[Floats], growth: Floats, n_samples: int, n_tests: int, level: float) -> int | None:
    """Samples over which a mean margin of this size is found, if those to come are like these.

    That of `paired.samples_needed` at the level that Holm's first step asks for; for a margin above 0 no fewer than
    the test would need if these samples were repeated.

    Args:
        units: Of each task the documents' shares of the mean margin.
        growth: [len(STAKES)], of the bets on these margins.
        n_samples: All of them.
        n_tests: That are corrected for.
        level: Of the test.
    """
    error = (1 - level) / n_tests
    mean = sum(float(values.mean()) for values in units) / len(units)
    deviation = (sum(map(variance_of_mean, units)) * n_samples) ** 0.5 / len(units)
    needed = samples_needed(mean, deviation, level=1 - 2 * error)
    if needed is None or mean < 0 or not growth.max() > 0:
        return needed
    return max(needed, ceil(n_samples * (log(len(STAKES)) - log(error)) / float(growth.max())))
