"""The intervals against scipy's, against their papers' formulas, and against one pair of cells at a time."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lukv_bench.db.statistics.intervals import bonett_price, wilson

Z95 = NormalDist().inv_cdf(0.975)


def moments(pairs: Sequence[Sequence[float]] | np.ndarray) -> tuple[np.ndarray, ...]:
    """Sums, sums of squares, numbers that are not 0, and numbers of differences."""
    rows = [np.asarray(d, dtype=float) for d in pairs]
    return (
        np.array([d.sum() for d in rows]),
        np.array([d @ d for d in rows]),
        np.array([np.count_nonzero(d) for d in rows], dtype=np.int64),
        np.array([len(d) for d in rows], dtype=np.int64),
    )


def mean_interval(scores: list[float], level: float = 0.95) -> tuple[float, float]:
    low, high = wilson(np.array([np.mean(scores)]), np.array([len(scores)]), level)
    return float(low[0]), float(high[0])


def difference_interval(a: list[float], b: list[float], level: float = 0.95) -> tuple[float, float]:
    d = np.array(a, dtype=float) - np.array(b, dtype=float)
    low, high = bonett_price(*moments([d]), level)
    return float(low[0]), float(high[0])


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 8), (3, 8), (8, 8), (17, 50), (999, 1000)])
def test_wilson_is_scipys(hits: int, n: int, level: float) -> None:
    low, high = mean_interval([100.0] * hits + [0.0] * (n - hits), level)
    oracle = stats.binomtest(hits, n).proportion_ci(level, method="wilson")
    assert (low, high) == pytest.approx((100 * oracle.low, 100 * oracle.high), abs=1e-9)
    assert 0 <= low < high <= 100


def test_wilson_of_fractions_is_no_narrower_than_the_means_own() -> None:
    scores = 100 * np.random.default_rng(0).beta(0.4, 0.6, 60)
    low, high = mean_interval(scores.tolist())
    assert high - low > 2 * 1.96 * scores.std() / len(scores) ** 0.5
    assert low < scores.mean() < high


def test_the_difference_is_bonett_and_prices() -> None:
    """Their formula on a table of 0 and 1: only a right 8 times, only b right 3 times, of 30."""
    a = [100.0] * 8 + [0.0] * 3 + [100.0] * 10 + [0.0] * 9
    b = [0.0] * 8 + [100.0] * 3 + [100.0] * 10 + [0.0] * 9
    p, q = 9 / 32, 4 / 32
    half = Z95 * ((p + q - (p - q) ** 2) / 32) ** 0.5
    low, high = difference_interval(a, b)
    assert (low, high) == pytest.approx((100 * (p - q - half), 100 * (p - q + half)))
    assert difference_interval(b, a) == pytest.approx((-high, -low))


@pytest.mark.parametrize("n", [1, 5, 50])
@pytest.mark.parametrize(("a", "b"), [(100.0, 0.0), (0.0, 100.0), (100.0, 100.0), (70.0, 40.0)])
def test_a_difference_is_never_without_width(a: float, b: float, n: int) -> None:
    low, high = difference_interval([a] * n, [b] * n)
    assert -100 <= low <= a - b <= high <= 100
    assert high - low > abs(a - b or 100) / (n + 2)


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(0.3, 0.1, 12), (0.05, 0.0, 12), (0.5, 0.2, 8), (0.1, 0.1, 40)])
def test_the_difference_covers(only_a: float, only_b: float, n: int) -> None:
    draws = np.random.default_rng(7).choice(
        [100.0, -100.0, 0.0], p=[only_a, only_b, 1 - only_a - only_b], size=(1500, n)
    )
    truth = 100 * (only_a - only_b)
    low, high = bonett_price(*moments(draws))
    assert ((low <= truth) & (truth <= high)).mean() > 0.93


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=12), max_size=9))
def test_many_at_once_are_those_of_each_alone(pairs: list[list[tuple[float, float]]]) -> None:
    """Against the plain formulas over one cell, and over one pair, at a time."""
    table = [np.array(pair) for pair in pairs]
    n = np.array([len(pair) for pair in table], dtype=np.int64)
    means = np.array([pair[:, 0].mean() for pair in table], dtype=float)
    differences = [pair[:, 0] - pair[:, 1] for pair in table]
    low, high = wilson(means, n)
    lower, upper = bonett_price(*moments(differences))
    for i, d in enumerate(differences):
        p, m = means[i] / 100, n[i]
        centre = (p + Z95**2 / (2 * m)) / (1 + Z95**2 / m)
        half = Z95 / (1 + Z95**2 / m) * (p * (1 - p) / m + Z95**2 / (4 * m * m)) ** 0.5
        assert (low[i], high[i]) == pytest.approx((100 * max(0, centre - half), 100 * min(1, centre + half)), abs=1e-9)
        size = np.sqrt(np.mean(d[d != 0] ** 2)) if d.any() else 100.0
        adjusted = np.append(d, (size, -size))
        reach = Z95 * adjusted.std() / len(adjusted) ** 0.5
        expected = max(-100, adjusted.mean() - reach), min(100, adjusted.mean() + reach)
        assert (lower[i], upper[i]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("mean", [101.0, -0.1, float("nan")])
def test_wrong_means(mean: float) -> None:
    with pytest.raises(ValueError, match="score"):
        wilson(np.array([mean]), np.array([1]))


def test_wrong_arguments() -> None:
    one, none = np.array([50.0]), np.array([0])
    for interval in (lambda: wilson(one, none), lambda: bonett_price(one, one, none, none)):
        with pytest.raises(ValueError, match="at least one score"):
            interval()
    for level in (0, 1, 95):
        with pytest.raises(ValueError, match="level"):
            wilson(one, np.array([1]), level)
