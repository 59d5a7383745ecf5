"""The quick look at logits says of each row what torch.isfinite says of all its numbers."""

import math
from itertools import product

import pytest
import torch

from lukv_bench.bench.engine.feed import check_finite, finite

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def edges(dtype: torch.dtype) -> list[float]:
    """Numbers at the edges of a type: none, infinite, the largest, subnormal, zeros."""
    info = torch.finfo(dtype)
    subnormal = info.tiny * info.eps
    return [math.nan, math.inf, -math.inf, info.max, info.min, subnormal, -subnormal, 0.0, -0.0, 1.0]


@pytest.mark.parametrize("n", [1, 2, 7, 64, 1003])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_row_is_finite_where_all_its_numbers_are(dtype: torch.dtype, n: int) -> None:
    """Every edge at the begin, in the middle and at the end of rows that are filled with every other."""
    rows = []
    for fill, edge, place in product(edges(dtype), edges(dtype), {0, n // 2, n - 1}):
        row = torch.full((n,), fill, dtype=dtype)
        row[place] = edge
        rows.append(row)
    logits = torch.stack(rows)
    expected = logits.isfinite().all(dim=-1)
    assert 0 < expected.sum() < len(rows)
    torch.testing.assert_close(finite(logits), expected)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_random_rows_with_a_few_broken_numbers(dtype: torch.dtype) -> None:
    chance = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 517, generator=chance, dtype=torch.float64).mul(1e3).to(dtype)
    broken = torch.rand(logits.shape, generator=chance) < 1e-3
    values = torch.tensor([math.nan, math.inf, -math.inf], dtype=dtype)
    logits[broken] = values[torch.randint(3, (int(broken.sum()),), generator=chance)]
    torch.testing.assert_close(finite(logits), logits.isfinite().all(dim=-1))
    with pytest.raises(ArithmeticError, match="not finite"):
        check_finite(logits)
    check_finite(logits[finite(logits)])
