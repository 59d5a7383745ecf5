"""Budgets are exact: as the digits typed say, never as a float would."""

from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lukv_bench import UserError
from lukv_bench.bench.methods.budget import DEFAULT_RATIO, Budget, parse_budgets, parse_ratio


def kept(ratio: str, n_tokens: int) -> int:
    return Budget(ratio=parse_ratio(ratio)).per_head(n_tokens)


@pytest.mark.parametrize(
    ("ratio", "n_tokens", "expected"),
    [
        ("0.8", 1000, 200),
        ("0.9", 1000, 100),
        ("0.7", 10, 3),
        ("0.35", 100, 65),
        ("0", 1000, 1000),
        ("0.0", 7, 7),
        ("-0", 7, 7),
        ("0.999", 1000, 1),
        ("0.9999", 1000, 0),
        ("1e-1", 10, 9),
        (".5", 3, 1),
    ],
)
def test_a_ratio_keeps_the_share_that_is_left(ratio: str, n_tokens: int, expected: int) -> None:
    assert kept(ratio, n_tokens) == expected


@example(digits="0" * 28 + "1", n_tokens=1000)
@example(digits="9" * 30, n_tokens=10**12)
@given(
    digits=st.text("0123456789", min_size=1, max_size=40),
    n_tokens=st.integers(0, 10**12),
)
def test_a_ratio_is_exact_whatever_its_digits(digits: str, n_tokens: int) -> None:
    ratio = f"0.{digits}"
    assert kept(ratio, n_tokens) == floor((1 - Fraction(ratio)) * n_tokens)


@given(numerator=st.integers(0, 10**6 - 1), n_tokens=st.integers(1, 2**20))
def test_more_pruned_never_keeps_more(numerator: int, n_tokens: int) -> None:
    here, there = (kept(f"{n / 10**6:.6f}", n_tokens) for n in (numerator, min(numerator + 1, 10**6 - 1)))
    assert n_tokens >= here >= there >= 0


@given(keep=st.integers(1, 10**9), n_tokens=st.integers(1, 10**7))
def test_tokens_per_head_are_taken_as_they_are_but_never_more_than_there_are(keep: int, n_tokens: int) -> None:
    budget = Budget(keep_tokens=keep)
    assert budget.per_head(n_tokens) == min(keep, n_tokens)
    assert budget.keeps_all(n_tokens) == (keep >= n_tokens)


def test_a_ratio_stays_below_one_however_many_nines_it_has() -> None:
    assert parse_ratio("0." + "9" * 30) < 1


@pytest.mark.parametrize(
    "text",
    [
        *["1", "1.0", "1.5", "-0.1", "-1e-30", "nan", "NaN", "sNaN", "inf", "-inf", "abc", "0,8", "80%", "0.8.1"],
        "",
        " ",
    ],
)
def test_a_ratio_outside_0_to_1_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(UserError, match="--ratio") as told:
        parse_ratio(text)
    assert text.strip() in str(told.value)


def test_equal_ratios_are_one_budget_in_the_order_typed() -> None:
    budgets = parse_budgets(["0.9", "0.50", "0.5", ".9", "5e-1"], [])
    assert budgets == [Budget(ratio=Decimal("0.9")), Budget(ratio=Decimal("0.5"))]
    assert [str(budget) for budget in budgets] == ["0.9", "0.5"]


def test_one_kind_of_budget_only() -> None:
    assert parse_budgets([], []) == [Budget(ratio=parse_ratio(DEFAULT_RATIO))]
    assert parse_budgets([], [5]) == [Budget(keep_tokens=5)]
    with pytest.raises(UserError, match="both"):
        parse_budgets(["0.5"], [5])
    with pytest.raises(UserError, match="--keep-tokens"):
        parse_budgets([], [0])
