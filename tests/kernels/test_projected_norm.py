"""||W_O v|| against the product written out."""

import pytest
import torch

from lukv_bench.kernels.projected_norm import projected_norm

CASES = [
    (1, 63, 1, 1, 64, 80),
    (2, 17, 2, 6, 20, 33),
    (3, 5, 4, 4, 12, 7),
    (1, 9, 1, 7, 12, 84),
    (2, 11, 3, 18, 28, 40),
]
IDS = ["B{}-T{}-H{}-HQ{}-D{}-hidden{}".format(*case) for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=["fp32", "fp16", "bf16"])
def test_equals_the_norm_of_the_projected_value(case: tuple[int, ...], dtype: torch.dtype) -> None:
    n_batch, n_tokens, n_heads, n_query_heads, dim, hidden = case
    random = torch.Generator().manual_seed(sum(case))
    values = torch.randn(n_batch, n_heads, n_tokens, dim, generator=random).to(dtype)
    o_proj = torch.randn(hidden, n_query_heads * dim, generator=random).to(dtype)  # as nn.Linear stores it
    weight = o_proj.T.reshape(n_query_heads, dim, hidden)
    expected = torch.empty(n_batch, n_query_heads, n_tokens, dtype=torch.float64)
    for q_head in range(n_query_heads):
        alone = torch.zeros(n_batch, n_tokens, n_query_heads, dim, dtype=torch.float64)
        alone[:, :, q_head] = values[:, q_head // (n_query_heads // n_heads)].double()
        residual = alone.reshape(n_batch, n_tokens, -1) @ o_proj.double().T
        expected[:, q_head] = residual.norm(dim=-1)
    got = projected_norm(values, weight)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), expected, rtol=2e-5, atol=1e-5)


def test_a_value_that_the_projection_sends_to_zero_has_norm_zero() -> None:
    random = torch.Generator().manual_seed(0)
    values = torch.randn(1, 1, 200, 8, generator=random)
    values[..., 4:] = 0
    weight = torch.randn(2, 8, 5, generator=random)
    weight[:, :4] = 0
    assert torch.equal(projected_norm(values, weight), torch.zeros(1, 2, 200))
