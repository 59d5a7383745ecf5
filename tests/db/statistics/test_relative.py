"""Whether a share of the full cache's score is kept: the test by its definition, and how often it is wrong."""

from fractions import Fraction

import numpy as np
import pytest

from lukv_bench.db.statistics.arrays import Floats, Integers
from lukv_bench.db.statistics.relative import STAKES, margin_p, qualities
from lukv_bench.db.statistics.table import ScoreTable


def one_task(scores: Floats) -> ScoreTable:
    n = scores.shape[1]
    return ScoreTable([str(row) for row in range(len(scores))], scores, np.zeros(n, np.int64), np.arange(n))


def by_definition(margins: Floats, task: Integers, document: Integers, share: float) -> float:
    """Capital in exact fractions, a document at a time."""
    n_tasks = len(set(task.tolist()))
    units: dict[int, Fraction] = {}
    weights: dict[int, Fraction] = {}
    for margin, of_task, of_document in zip(margins.tolist(), task.tolist(), document.tolist(), strict=True):
        weight = Fraction(1, n_tasks * task.tolist().count(of_task))
        units[of_document] = units.get(of_document, Fraction(0)) + weight * Fraction(margin)
        weights[of_document] = weights.get(of_document, Fraction(0)) + weight
    most = max(weights.values()) * 100 * Fraction(share)
    capital = Fraction(0)
    for stake in STAKES:
        grown = Fraction(1)
        for unit in units.values():
            grown *= max(1 + Fraction(stake) * unit / most, Fraction(0))
        capital += grown / len(STAKES)
    return min(1.0, 1 / float(capital)) if capital else 1.0


def test_p_is_its_definition_over_tasks_and_documents() -> None:
    rng = np.random.default_rng(0)
    task = np.repeat([0, 1], [9, 4])
    document = np.array([0, 0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8])
    full = rng.choice([0.0, 100.0], 13, p=[0.2, 0.8])
    scores = np.vstack([full, full, rng.uniform(0, 100, 13), rng.choice([0.0, 50.0, 100.0], 13), 0 * full])
    table = ScoreTable([*"fabcd"], scores, task, document)
    for share in (0.5, 0.9, 1.0):
        margins = scores[1:] - share * full
        expected = [by_definition(row, task, document, share) for row in margins]
        assert margin_p(margins, table, share) == pytest.approx(expected, rel=1e-9)


def test_without_losses_it_is_the_binomial_test_but_for_the_division_of_the_capital() -> None:
    table = one_task(np.full((2, 300), 100.0))
    p = float(margin_p(table.scores[1:] - 98.0, table, 0.98)[0])
    assert 0.98**300 <= p <= len(STAKES) * 0.98**300


@pytest.mark.parametrize("n_documents", [12, 100, 400])
def test_it_is_wrong_no_more_often_than_it_says(n_documents: int) -> None:
    """Configurations that keep exactly the share: rare losses, where a normal interval is sure too soon."""
    rng = np.random.default_rng(n_documents)
    share, n_drawn = 0.95, 4000
    document = np.repeat(np.arange(2 * n_documents), 2)
    is_right = np.repeat(rng.random((n_drawn, 2 * n_documents)) < share, 2, axis=1)
    scores = np.vstack([np.full(4 * n_documents, 100.0), 100.0 * is_right])
    table = ScoreTable([""] * len(scores), scores, np.repeat([0, 1], 2 * n_documents), document)
    p = margin_p(scores[1:] - share * scores[0], table, share)
    for level in (0.05, 0.01):
        assert (p <= level).mean() <= level


def test_quality_is_the_ratio_and_twelve_right_answers_prove_little() -> None:
    full = np.full(12, 100.0)
    half = np.where(np.arange(12) < 6, 100.0, 0.0)
    found = qualities(one_task(np.stack([full, full, half])), 0, np.array([1, 2]), 0.98)
    assert found.quality.tolist() == pytest.approx([100, 50])
    assert (found.low < found.quality).all()
    assert (found.high > found.quality).all()
    assert (found.p_holm > 0.05).all()


def test_the_samples_needed_are_enough_if_they_are_like_these() -> None:
    full = np.full(40, 100.0)
    table = one_task(np.stack([full, full, np.where(np.arange(40) < 39, 100.0, 0.0)]))
    found = qualities(table, 0, np.array([1, 2]), 0.9)
    for row, needed in zip((1, 2), found.needed, strict=True):
        assert needed is not None
        repeated = np.tile(table.scores[[0, row]], -(-needed // 40))
        assert qualities(one_task(repeated), 0, np.array([1]), 0.9).p_value[0] <= 0.025


def test_a_full_cache_without_a_score_is_refused() -> None:
    with pytest.raises(ValueError, match="scores 0"):
        qualities(one_task(np.zeros((2, 3))), 0, np.array([1]), 0.98)
