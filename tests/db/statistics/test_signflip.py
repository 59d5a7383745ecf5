"""The sign-flip test against scipy's, against all signs written out, and its bound against the exact p-value."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lukv_bench.db.statistics import signflip


def by_enumeration(differences: list[float]) -> float:
    """All choices of signs, one by one."""
    seen = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return float(np.mean(np.array(sums) >= seen - 1e-9))


@pytest.mark.parametrize(("won", "lost", "tied"), [(0, 0, 5), (1, 0, 0), (5, 0, 7), (9, 2, 3), (4, 4, 0), (30, 11, 59)])
def test_right_and_wrong_are_scipys_binomial_test(won: int, lost: int, tied: int) -> None:
    a = np.array([1.0] * won + [0.0] * lost + [1.0] * tied) / 3
    b = np.array([0.0] * won + [1.0] * lost + [1.0] * tied) / 3
    tests = signflip.all_pairs(np.stack([a, b]))
    expected = stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert tests.p_value[0] == pytest.approx(expected, rel=1e-9)
    assert not tests.is_bound


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 5), min_size=6, max_size=6), min_size=2, max_size=4))
def test_graded_differences_are_those_of_all_signs(rows: list[list[int]]) -> None:
    tests = signflip.all_pairs(100 / 5 * np.array(rows) / 6)
    for a, b, p_value in zip(tests.a, tests.b, tests.p_value, strict=True):
        differences = [float(x - y) for x, y in zip(rows[a], rows[b], strict=True)]
        assert p_value == pytest.approx(by_enumeration(differences), abs=1e-9)
    assert not tests.is_bound


def test_tasks_of_different_sizes_are_exact() -> None:
    """12 samples of one task and 5 of another: differences of 1/12 and 1/5."""
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 2, (2, 17)) * np.r_[np.full(12, 1 / 24), np.full(5, 1 / 10)]
    tests = signflip.all_pairs(rows)
    assert not tests.is_bound
    assert tests.p_value[0] == pytest.approx(by_enumeration((rows[0] - rows[1]).tolist()), abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-(10**6), 10**6).map(lambda n: n / 10**6), min_size=1, max_size=9))
def test_the_bound_is_never_below_the_exact_p_value(differences: list[float]) -> None:
    d = np.array(differences)
    (bound,) = signflip.bound_p(np.array([d @ d]), np.array([d.sum()]))
    assert bound >= by_enumeration(differences) - 1e-9
    assert signflip.chernoff_p(d[None])[0] >= by_enumeration(differences) - 1e-9


def test_the_bound_costs_little_where_it_counts() -> None:
    """Against scipy's permutation test where p is small enough to be corrected for many pairs."""
    d = np.abs(np.random.default_rng(2).normal(1, 0.3, 13))
    exact = stats.permutation_test(
        (d, np.zeros(13)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        n_resamples=2**13,
        vectorized=True,
    )
    tests = signflip.all_pairs(np.stack([d, np.zeros(13)]))
    assert tests.is_bound
    assert exact.pvalue == pytest.approx(2**-12)
    assert 1 - 1e-9 <= tests.p_value[0] / exact.pvalue < 1.5


def test_small_p_values_of_graded_scores_are_not_rounding() -> None:
    """Thirty differences of two sizes all one way: 2 of 2^30 choices of signs."""
    rows = np.stack([np.r_[np.full(15, 2.0), np.full(15, 1.0)], np.zeros(30)])
    (p_value,) = signflip.all_pairs(rows).p_value
    assert p_value == pytest.approx(2.0**-29, rel=0.01)


def test_identical_configurations_have_no_difference() -> None:
    rows = np.random.default_rng(4).uniform(0, 1, (1, 400)).repeat(3, axis=0)
    tests = signflip.all_pairs(rows)
    assert tests.p_value.tolist() == [1.0, 1.0, 1.0]
