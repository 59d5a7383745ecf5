"""Areas under curves, relative losses, the frontier."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.db.statistics.curves import areas, relative_losses
from lukv_bench.db.statistics.frontier import pareto
from lukv_bench.db.statistics.intervals import score_intervals
from lukv_bench.db.statistics.table import ScoreTable


def table(scores: list[list[float]]) -> ScoreTable:
    n = len(scores[0])
    return ScoreTable([str(i) for i in range(len(scores))], np.array(scores), np.zeros(n, int), np.arange(n))


def test_the_area_is_the_mean_quality_over_budgets() -> None:
    scores = table([[100, 0], [50, 50], [0, 0], [100, 100]])
    under = areas(scores, {"a": [(0.1, 2), (0.5, 1), (0.2, 0)], "b": [(0.1, 3), (0.2, 3), (0.5, 3)]})
    for row, points in zip(under.means(), ([0, 50, 50], [100, 100, 100]), strict=True):
        assert row == pytest.approx(np.trapezoid(points, [0.1, 0.2, 0.5]) / 0.4)
    low, high = score_intervals(under)
    assert (low < under.means()).tolist() == [True, True]
    assert (high[0] > under.means()[0], high[1]) == (True, 100.0)


@pytest.mark.parametrize(
    ("points", "said"),
    [([(0.5, 0)], "at least two"), ([(0.5, 0), (0.5, 1)], "each once"), ([(0.1, 0), (0.7, 1)], "same budgets")],
)
def test_areas_over_other_budgets_are_refused(points: list[tuple[float, int]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        areas(table([[1.0], [2.0]]), {"first": [(0.1, 0), (0.5, 1)], "other": points})


def test_the_loss_is_relative_to_the_full_cache() -> None:
    loss, low, high = relative_losses(table([[100, 100, 60, 60], [50, 50, 30, 30], [100, 100, 60, 60]]), full=0)
    assert loss.tolist() == [0.0, 50.0, 0.0]
    assert (low[0], high[0]) == (0.0, 0.0)
    assert low[1] < 50 < high[1]
    assert low[2] < 0 < high[2]
    assert np.isnan(relative_losses(table([[0, 0], [50, 0]]), full=0)).all()


def test_losses_cover_the_true_one() -> None:
    """The full cache gets 80%, the other two thirds of those: a loss of a third."""
    rng = np.random.default_rng(7)
    full = rng.uniform(size=(2000, 40)) < 0.8
    kept = full & (rng.uniform(size=full.shape) < 2 / 3)
    covered = 0
    for pair in np.stack([full, kept], axis=1):
        _, low, high = relative_losses(table((100.0 * pair).tolist()), full=0)
        covered += low[1] <= 100 / 3 <= high[1]
    assert 0.93 <= covered / 2000 <= 0.97


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8))
def test_the_frontier_is_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    costs, scores = (np.array(values, dtype=float) for values in (zip(*points, strict=True) if points else ((), ())))
    expected = [
        not any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points) for cost, score in points
    ]
    assert pareto(costs, scores).tolist() == expected


def test_what_is_unknown_is_on_no_frontier() -> None:
    nan = float("nan")
    assert pareto(np.array([nan, 1.0, 2.0]), np.array([100.0, 50.0, nan])).tolist() == [False, True, False]
