"""||W_O v|| in Triton against the product written out in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lukv_bench.kernels.projected_norm import projected_norm
from lukv_bench.kernels.projected_norm.triton import projected_norm as in_triton

CASES = [  # B, T, H, G, D, hidden, dtype
    (1, 1, 1, 1, 64, 80, torch.float32),
    (1, 200, 1, 3, 80, 33, torch.float16),
    (2, 17, 1, 4, 96, 130, torch.bfloat16),
    (1, 63, 2, 1, 128, 40, torch.bfloat16),
    (1, 40, 1, 2, 256, 300, torch.float32),
    (1, 33, 1, 7, 64, 84, torch.bfloat16),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_the_norm_of_the_projected_value(
    case: tuple[int, int, int, int, int, int, torch.dtype], amid_nan: Callable[[Tensor], Tensor]
) -> None:
    n_batch, n_tokens, n_heads, group, dim, hidden, dtype = case
    random = torch.Generator().manual_seed(n_tokens)
    values = torch.randn(n_batch, n_heads, n_tokens, dim, generator=random).to(dtype)
    weight = torch.randn(n_heads * group, dim, hidden, generator=random).to(dtype)
    expected = (values.double().repeat_interleave(group, dim=1) @ weight.double()).norm(dim=-1)
    got = in_triton(amid_nan(values), weight, block_t=128)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), expected, rtol=2e-5, atol=1e-5)


def test_a_value_that_the_projection_sends_to_zero_has_norm_zero() -> None:
    random = torch.Generator().manual_seed(0)
    values = torch.randn(1, 1, 20, 64, generator=random)
    values[..., 4:] = 0
    weight = torch.randn(2, 64, 5, generator=random)
    weight[:, :4] = 0
    assert torch.equal(projected_norm(values, weight, backend="triton-interpret"), torch.zeros(1, 2, 20))
