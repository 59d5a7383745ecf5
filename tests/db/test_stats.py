import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lukv_bench.db.stats import mean_interval, paired, paired_difference


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 8), (3, 8), (8, 8), (17, 50), (999, 1000)])
def test_mean_interval_is_wilsons(hits: int, n: int, level: float) -> None:
    interval = mean_interval([100.0] * hits + [0.0] * (n - hits), level)
    oracle = stats.binomtest(hits, n).proportion_ci(level, method="wilson")
    assert interval.mean == pytest.approx(100 * hits / n)
    assert (interval.low, interval.high, interval.n) == pytest.approx(
        (100 * oracle.low, 100 * oracle.high, n), abs=1e-9
    )
    assert 0 <= interval.low < interval.high <= 100


def test_mean_interval_of_fractions_is_no_narrower_than_the_means_own() -> None:
    scores = 100 * np.random.default_rng(0).beta(0.4, 0.6, 60)
    interval = mean_interval(scores)
    half = 1.96 * scores.std() / len(scores) ** 0.5
    assert interval.high - interval.low > 2 * half
    assert interval.low < interval.mean < interval.high


def test_paired_difference_is_bonett_and_prices() -> None:
    """Their formula on a table of 0 and 1: only a right 8 times, only b right 3 times, of 30."""
    a = [100.0] * 8 + [0.0] * 3 + [100.0] * 10 + [0.0] * 9
    b = [0.0] * 8 + [100.0] * 3 + [100.0] * 10 + [0.0] * 9
    p, q, z = 9 / 32, 4 / 32, stats.norm.ppf(0.975)
    half = z * ((p + q - (p - q) ** 2) / 32) ** 0.5
    difference = paired_difference(a, b)
    assert difference.mean == pytest.approx(100 * 5 / 30)
    assert (difference.low, difference.high) == pytest.approx((100 * (p - q - half), 100 * (p - q + half)))
    mirrored = paired_difference(b, a)
    assert (mirrored.low, mirrored.high) == pytest.approx((-difference.high, -difference.low))


@pytest.mark.parametrize("n", [1, 5, 50])
@pytest.mark.parametrize(("a", "b"), [(100.0, 0.0), (0.0, 100.0), (100.0, 100.0), (70.0, 40.0)])
def test_paired_difference_is_never_without_width(a: float, b: float, n: int) -> None:
    difference = paired_difference([a] * n, [b] * n)
    assert (difference.mean, difference.n) == (pytest.approx(a - b), n)
    assert -100 <= difference.low <= difference.mean <= difference.high <= 100
    assert difference.high - difference.low > 100 / (n + 2)


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(0.3, 0.1, 12), (0.05, 0.0, 12), (0.5, 0.2, 8), (0.1, 0.1, 40)])
def test_paired_difference_covers(only_a: float, only_b: float, n: int) -> None:
    draws = np.random.default_rng(7).choice(
        [100.0, -100.0, 0.0], p=[only_a, only_b, 1 - only_a - only_b], size=(1500, n)
    )
    truth = 100 * (only_a - only_b)
    hits = 0
    for differences in draws:
        found = paired_difference(differences.clip(0, 100), (-differences).clip(0, 100))
        hits += found.low <= truth <= found.high
    assert hits / len(draws) > 0.93


def test_paired_joins_on_samples() -> None:
    frame = pd.DataFrame(
        [
            ("a", "s2", 50.0),
            ("a", "s0", 100.0),
            ("a", "s1", 30.0),
            ("b", "s0", 0.0),
            ("b", "s2", 50.0),
            ("b", "s9", 1.0),
        ],
        columns=["cell", "sample", "score"],
    )
    assert (paired(frame, "a", "b").mean, paired(frame, "a", "b").n) == (50.0, 2)
    with pytest.raises(ValueError, match="share no scored sample"):
        paired(frame, "a", "c")


@pytest.mark.parametrize("scores", [[], [101.0], [-0.1], [float("nan")], [[1.0]]])
def test_wrong_scores(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="score"):
        mean_interval(scores)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="differ in number"):
        paired_difference([1.0], [1.0, 2.0])
    for level in (0, 1, 95):
        with pytest.raises(ValueError, match="level"):
            mean_interval([50.0], level)
