"""A profile in kvpress's format gives LU-KV's own counts back, by kvpress's rounding."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lukv_bench import UserError
from lukv_bench.allocators.base import AllocationRequest
from lukv_bench.allocators.lukv import LUKV
from lukv_bench.allocators.lukv_export import kvpress_ratios
from lukv_bench.scorers.base import Profile, Protection

Ask = Callable[..., AllocationRequest]
Curve = Callable[[int, int, int], Tensor]


def as_kvpress_rounds(ratios: np.ndarray, n_tokens: int) -> list[int]:
    """What kvpress 0.5.5's LUKVPress keeps of a layer's heads, as its documentation of the steps goes: float32 ideals,
    the layer's total rounded, floors, what is missing to the largest fractions, at least one."""
    ideals = (1.0 - torch.as_tensor(ratios, dtype=torch.float32)) * n_tokens
    total = max(len(ratios), int(torch.round(ideals.sum()).item()))
    counts = [int(ideal) for ideal in ideals.tolist()]
    fractions = sorted(range(len(counts)), key=lambda head: counts[head] - ideals[head].item())
    for head in fractions[: total - sum(counts)]:
        counts[head] += 1
    return [max(count, 1) for count in counts]


@pytest.mark.parametrize("n_heads", [2, 3, 8, 32])
@pytest.mark.parametrize("n_tokens", [333, 1024, 4096, 131072])
@pytest.mark.parametrize("protection", [Protection(4, 1), Protection(4, 32), Protection(1, 0)])
def test_kvpress_keeps_what_lukv_keeps_at_every_whole_percent(
    ask: Ask, rising_curve: Curve, n_heads: int, n_tokens: int, protection: Protection
) -> None:
    profile = Profile("lukv", {"curve": rising_curve(3, n_heads, 5)})
    ratios = kvpress_ratios(profile, n_tokens, protection)
    assert ratios.shape == (99, 3, n_heads)
    assert ratios.dtype == np.float64
    served = 0
    for percent in range(1, 100):
        budget = 3 * n_heads * (n_tokens * (100 - percent) // 100)
        sizes = {"n_layers": 3, "n_heads": n_heads, "n_tokens": n_tokens, "protection": protection}
        request = replace(ask(budget, **sizes), profile=profile)
        row = ratios[round(percent / 100 * 100) - 1]
        if np.isnan(row).any():
            assert np.isnan(row).all()
            continue
        served += 1
        counts = LUKV().allocate(request)[:, 0]
        assert [as_kvpress_rounds(layer, n_tokens) for layer in row] == counts.tolist()
    assert served >= 80


def test_rows_that_lukv_refuses_are_not_numbers(rising_curve: Curve) -> None:
    """1,000 tokens, 36 of them protected: from 97% on fewer are asked for than are protected."""
    ratios = kvpress_ratios(Profile("lukv", {"curve": rising_curve(2, 2, 0)}), 1000, Protection(4, 32))
    assert not np.isnan(ratios[:95]).any()
    assert np.isnan(ratios[96:]).all()
    with pytest.raises(ValueError, match="NaN"):
        as_kvpress_rounds(ratios[98, 0], 1000)


def test_the_mean_of_a_row_is_its_target(rising_curve: Curve) -> None:
    ratios = kvpress_ratios(Profile("lukv", {"curve": rising_curve(2, 2, 0)}), 1000, Protection(4, 1))
    assert np.allclose(ratios[:95].mean(axis=(1, 2)), np.arange(1, 96) / 100, atol=1e-12)


def test_a_length_at_which_nothing_can_be_served_is_refused(rising_curve: Curve) -> None:
    with pytest.raises(UserError, match="30 tokens"):
        kvpress_ratios(Profile("lukv", {"curve": rising_curve(2, 2, 0)}), 30, Protection(4, 32))
