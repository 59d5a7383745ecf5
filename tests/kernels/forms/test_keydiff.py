"""KeyDiff's Triton form against its formula in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lukv_bench.kernels.keydiff import keydiff
from lukv_bench.kernels.keydiff.triton import keydiff as in_triton

CASES = [  # B, H, T, D, dtype, tokens of a tile, tokens of a chunk
    (1, 1, 1, 64, torch.float32, 32, 32),
    (1, 2, 63, 80, torch.bfloat16, 64, 64),
    (2, 1, 200, 96, torch.float16, 64, 128),
    (1, 2, 129, 128, torch.bfloat16, 128, 128),
    (1, 1, 256, 256, torch.float32, 128, 256),
]


def by_formula(keys: Tensor) -> Tensor:
    units = keys.double() / keys.double().norm(dim=-1, keepdim=True)
    anchor = units.mean(dim=2, keepdim=True)
    return -(units * anchor).sum(dim=-1) / anchor.norm(dim=-1)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_scores_follow_the_formula(case: tuple[int, ...], amid_nan: Callable[[Tensor], Tensor]) -> None:
    *shape, dtype, block, chunk = case
    made = torch.Generator().manual_seed(sum(shape))
    lengths = torch.rand(*shape[:3], 1, generator=made) * 10 + 0.1  # unlike lengths: the anchor is a mean of unit keys
    keys = ((torch.randn(shape, generator=made) + 0.5) * lengths).to(dtype)
    got = in_triton(amid_nan(keys), block, chunk)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), by_formula(keys), atol=2e-6, rtol=0)


def test_keys_of_zero_score_as_in_torch() -> None:
    keys = torch.randn(1, 2, 6, 64, generator=torch.Generator().manual_seed(0))
    keys[0, 0, 2] = 0
    keys[0, 1] = 0
    got = keydiff(keys, backend="triton-interpret")
    assert got[0, 0, 2] == 0
    assert (got[0, 1] == 0).all()
    torch.testing.assert_close(got, keydiff(keys), atol=2e-6, rtol=0)
