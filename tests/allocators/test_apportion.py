"""Rounding that loses nothing."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from lukv_bench.allocators.apportion import apportion

CAP = 9


@st.composite
def any_shares(draw: st.DrawFn) -> tuple[list[float], int]:
    """Ideals in [0, CAP] and any total that fits, near the ideals' sum or far from it."""
    ideal = draw(st.lists(st.floats(0, CAP) | st.integers(0, CAP).map(float), min_size=1, max_size=8))
    return ideal, draw(st.integers(0, CAP * len(ideal)))


@st.composite
def shares_of_a_total(draw: st.DrawFn) -> tuple[list[Fraction], int]:
    """Ideals that sum exactly to a whole total: eighths, so that floats hold them exactly and many tie."""
    eighths = draw(st.lists(st.integers(0, 8 * CAP), min_size=1, max_size=9))
    excess = sum(eighths) % 8
    for index, part in enumerate(eighths):
        taken = min(part, excess)
        eighths[index] -= taken
        excess -= taken
    return [Fraction(part, 8) for part in eighths], sum(eighths) // 8


@given(any_shares())
@example(([0.0, 0.0], 2 * CAP))
@example(([float(CAP)] * 3, 0))
def test_sums_to_the_total_and_stays_in_bounds(asked: tuple[list[float], int]) -> None:
    ideal, total = asked
    counts = apportion(torch.tensor(ideal, dtype=torch.float64), total, CAP)
    assert counts.dtype == torch.int64
    assert int(counts.sum()) == total
    assert int(counts.min()) >= 0
    assert int(counts.max()) <= CAP


@given(any_shares())
def test_what_is_missing_or_too_much_is_spread_one_each(asked: tuple[list[float], int]) -> None:
    ideal, total = asked
    counts = apportion(torch.tensor(ideal, dtype=torch.float64), total, CAP).tolist()
    moved = [count - math.floor(share) for count, share in zip(counts, ideal, strict=True)]
    wall = 0 if sum(moved) < 0 else CAP
    rounds = [abs(by) for by in moved]
    not_at_wall = [n for n, count in zip(rounds, counts, strict=True) if count != wall]
    assert not (min(moved) < 0 < max(moved)), "never gives and takes at once"
    assert max(rounds) <= min(not_at_wall, default=CAP) + 1


@given(shares_of_a_total())
def test_is_the_largest_remainder_method_where_the_ideals_sum_to_the_total(asked: tuple[list[Fraction], int]) -> None:
    ideal, total = asked
    expected = [math.floor(share) for share in ideal]
    for index in sorted(range(len(ideal)), key=lambda i: (expected[i] - ideal[i], i))[: total - sum(expected)]:
        expected[index] += 1
    counts = apportion(torch.tensor([float(share) for share in ideal], dtype=torch.float64), total, CAP).tolist()
    assert counts == expected
    assert all(abs(count - share) < 1 for count, share in zip(counts, ideal, strict=True))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.integers(0, 2**16))
def test_rounding_noise_moves_no_whole_share(counts: list[int], seed: int) -> None:
    noise = (torch.rand(len(counts), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.5) * 1e-9
    got = apportion(torch.tensor(counts, dtype=torch.float64) + noise, sum(counts), 1000)
    assert got.tolist() == counts


@pytest.mark.parametrize("total", [-1, 3 * CAP + 1])
def test_refuses_a_total_that_cannot_be_reached(total: int) -> None:
    with pytest.raises(ValueError, match=str(total)):
        apportion(torch.zeros(3, dtype=torch.float64), total, CAP)


def one_by_one(ideal: list[float], total: int, cap: int) -> list[int]:
    """The rule as it is written down: a slot at a time, by remainder."""
    counts = [math.floor(share) for share in ideal]
    while sum(counts) != total:
        up = sum(counts) < total
        order = sorted(range(len(ideal)), key=lambda i: (math.floor(ideal[i]) - ideal[i]) * (1 if up else -1))
        for index in order:
            if sum(counts) != total and (counts[index] < cap if up else counts[index] > 0):
                counts[index] += 1 if up else -1
    return counts


@given(any_shares())
def test_is_the_rule_applied_one_slot_at_a_time(asked: tuple[list[float], int]) -> None:
    ideal, total = asked
    assert apportion(torch.tensor(ideal, dtype=torch.float64), total, CAP).tolist() == one_by_one(ideal, total, CAP)


def test_ideals_far_from_the_total_take_no_longer() -> None:
    cap = 10**15
    assert apportion(torch.tensor([0.0, 0.25, 0.75]), 3 * cap - 1, cap).tolist() == [cap - 1, cap, cap]
    assert apportion(torch.tensor([cap, cap / 2], dtype=torch.float64), 1, cap).tolist() == [1, 0]


@pytest.mark.parametrize("share", [float("nan"), float("inf")])
def test_refuses_shares_that_are_not_finite(share: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        apportion(torch.tensor([share, 1.0]), 2, CAP)
