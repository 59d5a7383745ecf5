"""Paired comparisons against scipy and statsmodels."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import NormalIndPower

from lukv_bench.db.statistics.paired import (
    Paired,
    TaskScores,
    compare_pair,
    compare_tasks,
    detectable_difference,
    samples_needed,
)
from lukv_bench.db.statistics.signflip import one_pair


def compared(
    a: np.ndarray, b: np.ndarray, task: np.ndarray | None = None, document: np.ndarray | None = None
) -> Paired:
    n = len(a)
    return compare_pair(
        a.astype(float),
        b.astype(float),
        np.zeros(n, dtype=np.int64) if task is None else task,
        np.arange(n) if document is None else document,
    )


def test_right_and_wrong_answers_are_mcnemars() -> None:
    rng = np.random.default_rng(1)
    a, b = 100 * rng.integers(0, 2, 60), 100 * (rng.uniform(size=60) < 0.3)
    pair = compared(a, b)
    table = [[int(((a == x) & (b == y)).sum()) for y in (100, 0)] for x in (100, 0)]
    assert (pair.won, pair.lost) == (table[0][1], table[1][0])
    assert pair.tied == table[0][0] + table[1][1]
    assert pair.p_value == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert pair.n_drawn is None
    assert pair.difference == pytest.approx(a.mean() - b.mean())


def test_graded_scores_are_scipys_permutation_test() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.uniform(20, 80, 10), rng.uniform(10, 70, 10)
    expected = stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", vectorized=True
    )
    assert compared(a, b).p_value == pytest.approx(expected.pvalue)


def test_many_graded_scores_are_drawn_signs_with_their_resolution() -> None:
    differences = np.random.default_rng(3).normal(1.2, 4, 40)
    test = one_pair(differences)
    assert test.n_drawn == 99_999
    expected = stats.permutation_test(
        (differences, np.zeros(40)), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=20_000, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert test.p_value == pytest.approx(expected.pvalue, abs=0.01)
    assert one_pair(differences + 100).p_value == pytest.approx(1 / 100_000)
    assert one_pair(differences) == test


def test_tasks_weigh_the_same() -> None:
    """Ten samples won of one task, one lost of another: the means cancel."""
    pair = compared(np.r_[np.full(10, 100), 0], np.r_[np.zeros(10), 100], np.r_[np.zeros(10, int), 1])
    assert (pair.difference, pair.p_value, pair.n_tasks) == (0.0, 1.0, 2)
    assert (pair.won, pair.lost, pair.tied) == (10, 1, 0)
    assert pair.samples_needed is None


def test_questions_about_one_document_are_one_draw() -> None:
    a, b = np.full(12, 100), np.zeros(12)
    alone, together = compared(a, b), compared(a, b, document=np.repeat([0, 1, 2], 4))
    assert (alone.p_value, together.p_value) == (2.0**-11, 0.25)
    assert together.high - together.low > alone.high - alone.low
    assert (together.n_samples, together.n_documents) == (12, 3)


def test_the_bootstrap_is_scipys() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.uniform(0, 100, 80), rng.uniform(0, 90, 80)
    pair = compared(a, b)
    expected = stats.bootstrap((a - b,), np.mean, method="percentile", n_resamples=5000, rng=rng).confidence_interval
    assert (pair.bootstrap_low, pair.bootstrap_high) == pytest.approx((expected.low, expected.high), abs=0.7)
    assert (pair.low, pair.high) == pytest.approx((expected.low, expected.high), abs=2)


def test_identical_answers_have_no_difference_but_a_width() -> None:
    a = np.random.default_rng(5).uniform(0, 100, 12)
    pair = compared(a, a)
    assert (pair.difference, pair.p_value, pair.samples_needed) == (0.0, 1.0, None)
    assert pair.low < -10 < 10 < pair.high


@pytest.mark.parametrize(("difference", "deviation"), [(5.0, 50.0), (-12.0, 60.0), (20.0, 70.0)])
def test_the_samples_that_a_difference_needs_are_statsmodels(difference: float, deviation: float) -> None:
    expected = NormalIndPower(ddof=0).solve_power(
        effect_size=abs(difference) / deviation, power=0.8, alpha=0.05, ratio=0, alternative="two-sided"
    )
    n = samples_needed(difference, deviation)
    assert n == max(1, np.ceil(expected))
    assert detectable_difference(n, deviation) <= abs(difference) + 1e-9


def test_planned_samples_find_the_difference_four_times_of_five() -> None:
    rng = np.random.default_rng(6)
    pilot = rng.normal(4, 20, 400)
    n = samples_needed(4.0, 20.0)
    found = [stats.ttest_1samp(rng.normal(4, 20, n), 0).pvalue < 0.05 for _ in range(1000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)
    assert compared(pilot.clip(0, 100), np.zeros(400)).samples_needed < 400


def test_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        compared(np.array([]), np.array([]))


def test_samples_of_several_tasks_are_compared_in_any_order_and_a_documents_name_counts_within_its_task() -> None:
    rng = np.random.default_rng(5)
    a, b = 100.0 * rng.integers(0, 2, 20), 100.0 * rng.integers(0, 2, 20)
    task, document = np.repeat([0, 1], [12, 8]), np.repeat(np.arange(10), 2)
    shuffled = rng.permutation(12)
    names = np.array(
        [f"text {each % 6}" for each in document]
    )  # the second task has documents of the first one's names
    first = TaskScores(a[:12][shuffled], b[:12][shuffled], names[:12][shuffled])
    pair = compare_tasks([first, TaskScores(a[12:], b[12:], names[12:])])
    assert pair == compare_pair(a, b, task, document)
    assert pair.n_documents == 10
    with pytest.raises(ValueError, match="at least one sample"):
        compare_tasks([TaskScores(a[:0], b[:0], names[:0])])
