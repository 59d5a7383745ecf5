"""Two configurations over the same samples of one task or of many."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Floats, Integers
from .intervals import difference_intervals, document_means, quantile_of
from .signflip import one_pair
from .table import ScoreTable

N_RESAMPLED = 5_000
POWER = 0.8
"""How likely a difference should be seen that `samples_needed` plans for."""


@dataclass(frozen=True)
class Paired:
    """What the samples say of a less b. Scores are 0 to 100; tasks weigh the same.

    Attributes:
        n_tasks, n_samples, n_documents: Over which both were compared.
        score_a, score_b, difference: Means over tasks.
        low, high: 95% interval of the difference, see `intervals.difference_intervals`.
        bootstrap_low, bootstrap_high: The 2.5% and 97.5% quantiles of the difference over documents drawn again within
            each task. Too narrow over few samples, where the other interval holds its level.
        p_value, n_drawn: Of the sign-flip test, see `signflip.SignFlip`.
        won, lost, tied: Samples on which a scores more than b, less, the same.
        samples_needed: Samples over which a difference of this size would be found, p below 0.05, four times of five;
            None where there is no difference.
        detectable: The smallest difference that would be found over these samples four times of five.
    """

    n_tasks: int
    n_samples: int
    n_documents: int
    score_a: float
    score_b: float
    difference: float
    low: float
    high: float
    bootstrap_low: float
    bootstrap_high: float
    p_value: float
    n_drawn: int | None
    won: int
    lost: int
    tied: int
    samples_needed: int | None
    detectable: float


@dataclass(frozen=True)
class TaskScores:
    """Scores of two configurations over the samples of one task that both answered.

    Attributes:
        a, b: [S], their scores, 0 to 100.
        document: [S], the name or number of each sample's document.
    """

    a: Floats
    b: Floats
    document: npt.NDArray[Any]


def compare_tasks(tasks: Sequence[TaskScores], seed: int = 0) -> Paired:
    """Compare two configurations over the samples of at least one task, in any order.

    Raises:
        ValueError: there is no sample.
    """
    a, b = np.concatenate([each.a for each in tasks]), np.concatenate([each.b for each in tasks])
    names = np.concatenate([each.document for each in tasks])
    task = np.repeat(np.arange(len(tasks)), [len(each.a) for each in tasks])
    number = np.unique(names, return_inverse=True)[1]
    document = np.unique(task * (len(names) + 1) + number, return_inverse=True)[1]  # by task, then by name
    order = np.argsort(document, kind="stable")
    return compare_pair(a[order], b[order], task[order], document[order], seed)


def compare_pair(a: Floats, b: Floats, task: Integers, document: Integers, seed: int = 0) -> Paired:
    """Compare two configurations over samples sorted by task and document.

    Args:
        a, b: [S], their scores, 0 to 100.
        task: [S], the number of each sample's task.
        document: [S], the number of its document.
        seed: Of what is drawn.

    Raises:
        ValueError: there is no sample.
    """
    if not len(a):
        raise ValueError("two configurations are compared over at least one sample")
    table = ScoreTable(["a", "b"], np.stack([a, b]), task, document)
    differences = a - b
    units = [document_means(values, of)[0] for values, of in _difference_table(differences, table).by_task()]
    low, high = difference_intervals(differences[None], task, document)
    resampled = np.quantile(_bootstrap(units, seed), [0.025, 0.975])
    test = one_pair(np.concatenate([values / (len(units) * len(values)) for values in units]), seed=seed)
    stderr = float(np.sqrt(sum(variance_of_mean(values) for values in units)) / len(units))
    means = table.means()
    difference = float(means[0] - means[1])
    return Paired(
        n_tasks=len(units),
        n_samples=len(a),
        n_documents=sum(map(len, units)),
        score_a=float(means[0]),
        score_b=float(means[1]),
        difference=difference,
        low=float(low[0]),
        high=float(high[0]),
        bootstrap_low=float(resampled[0]),
        bootstrap_high=float(resampled[1]),
        p_value=test.p_value,
        n_drawn=test.n_drawn,
        won=int((differences > 0).sum()),
        lost=int((differences < 0).sum()),
        tied=int((differences == 0).sum()),
        samples_needed=samples_needed(difference, stderr * len(a) ** 0.5),
        detectable=detectable_difference(len(a), stderr * len(a) ** 0.5),
    )


def samples_needed(difference: float, deviation: float, power: float = POWER, level: float = 0.95) -> int | None:
    """How many samples find a mean difference, given the standard deviation of single differences; None for none.

    n = ((z_level + z_power) deviation / difference)^2, the normal approximation (Miller 2024, arXiv 2411.00640, section
    5, for evaluations).
    """
    if abs(difference) < 1e-9:
        return None
    return max(1, ceil((_reach(power, level) * deviation / difference) ** 2 - 1e-9))


def detectable_difference(n: int, deviation: float, power: float = POWER, level: float = 0.95) -> float:
    """The smallest mean difference that n samples find, at most 100."""
    return min(100.0, _reach(power, level) * deviation / float(np.sqrt(n)))


def _reach(power: float, level: float) -> float:
    return quantile_of(level) + quantile_of(2 * power - 1)


def _difference_table(differences: Floats, table: ScoreTable) -> ScoreTable:
    return ScoreTable(["a - b"], differences[None], table.task, table.document)


def variance_of_mean(units: Floats) -> float:
    """Of the mean of a task's documents, with Bonett and Price's two added ones, so that it is never 0."""
    nonzero = units[units != 0]
    size = float((nonzero * nonzero).mean()) if len(nonzero) else 100.0**2
    n = len(units) + 2
    return float(((units * units).sum() + 2 * size) / n - (units.sum() / n) ** 2) / n


def _bootstrap(units: list[Floats], seed: int) -> Floats:
    """Means over tasks of the means of documents drawn again, N_RESAMPLED of them."""
    rng = np.random.default_rng(seed)
    means = np.zeros(N_RESAMPLED)
    for values in units:
        at_once = max(1, 4_000_000 // len(values))
        for start in range(0, N_RESAMPLED, at_once):
            size = min(at_once, N_RESAMPLED - start)
            drawn = rng.integers(0, len(values), (size, len(values)))
            means[start : start + size] += values[drawn].mean(axis=1) / len(units)
    return means
