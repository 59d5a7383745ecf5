"""By simulation: the band holds the best configuration's true score, of however many it is the best."""

import numpy as np
import pytest
from scipy.stats import norm

from lukv_bench.db.statistics.frontier import frontier_band
from lukv_bench.db.statistics.intervals import score_intervals
from lukv_bench.db.statistics.table import ScoreTable

N = 100
RIGHT = {
    "five that tie": np.full(5, 0.6),
    "forty that tie": np.full(40, 0.6),
    "one best": np.array([0.7] + 19 * [0.3]),
    "a slope": np.linspace(0.3, 0.7, 20),
}
"""By kind of experiment the shares of right answers of its configurations."""


def draw(right: np.ndarray, n: int, rng: np.random.Generator) -> ScoreTable:
    """Right and wrong answers of configurations for which the same samples are hard."""
    ease = np.sqrt(0.5) * (rng.normal(size=n) + rng.normal(size=(len(right), n)))
    scores = 100.0 * (ease < norm.ppf(right)[:, None])
    return ScoreTable([""] * len(right), scores, np.zeros(n, np.int64), np.arange(n))


@pytest.mark.parametrize("kind", RIGHT)
@pytest.mark.parametrize("n", [24, 100])
def test_the_best_score_is_covered(kind: str, n: int) -> None:
    """The winner's own interval is not enough where many tie: its lower end is too high too often."""
    right, rng = RIGHT[kind], np.random.default_rng(0)
    costs = np.arange(len(right), dtype=float)
    truth = 100 * right.max()
    covered = covered_by_own = 0
    for _ in range(N):
        table = draw(right, n, rng)
        low, high = frontier_band(table, costs, costs[-1:])
        covered += low[0] <= truth <= high[0]
        own_low, own_high = score_intervals(table)
        best = table.means().argmax()
        covered_by_own += own_low[best] <= truth <= own_high[best]
    assert covered / N >= 0.93
    if kind == "forty that tie":
        assert covered_by_own / N < 0.8


def test_the_band_is_of_what_costs_no_more() -> None:
    rng = np.random.default_rng(1)
    table = draw(np.array([0.2, 0.9, 0.5]), 50, rng)
    own_low, own_high = score_intervals(table)
    low, high = frontier_band(table, np.array([1.0, 3.0, 2.0]), np.array([0.5, 1.0, 2.5, 9.0]))
    assert np.isnan([low[0], high[0]]).all()
    assert (low[1], high[1]) == (pytest.approx(own_low[0], abs=0.5), pytest.approx(own_high[0]))
    assert low[2] <= own_low[2]
    assert high[2:].tolist() == [own_high[2], own_high[1]]
    assert (np.diff(low[1:]) >= 0).all()


def test_samples_of_one_document_count_together() -> None:
    """Forty configurations whose answers go with one of four documents: as wide as four samples are."""
    rng = np.random.default_rng(2)
    of_document = draw(np.full(40, 0.6), 12, rng)
    repeated = ScoreTable([""] * 40, of_document.scores.repeat(5, axis=1), np.zeros(60, int), np.arange(12).repeat(5))
    alone = ScoreTable([""] * 40, repeated.scores, repeated.task, np.arange(60))
    widths = []
    for table in (repeated, alone):
        low, high = frontier_band(table, np.zeros(40), np.zeros(1))
        widths.append(float(high[0] - low[0]))
    assert widths[0] > 1.5 * widths[1]


def test_what_has_no_cost_is_left_out() -> None:
    table = draw(np.array([0.2, 0.99]), 50, np.random.default_rng(3))
    _, own_high = score_intervals(table)
    _, high = frontier_band(table, np.array([1.0, np.nan]), np.array([5.0]))
    assert high[0] == own_high[0]
    assert np.isnan(frontier_band(table, np.full(2, np.nan), np.array([5.0]))).all()
