"""Compaction against boolean indexing, one head at a time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lukv_bench.kernels.compact import compact
from lukv_bench.kernels.compact.triton import compact as in_triton
from lukv_bench.kernels.segments import Segments
from lukv_bench.kernels.select import Kept

CASES = [  # contexts, rows, H, T, D, dtype, block, tokens kept by each (row, head)
    (1, 1, 1, 1, 64, torch.float32, 16, [1]),
    (1, 3, 2, 70, 80, torch.bfloat16, 32, [0, 1, 70, 33, 32, 0]),  # many configurations of one context
    (2, 2, 2, 200, 96, torch.float16, 64, [1, 0, 199, 2]),  # one head holds nearly all
    (1, 1, 3, 130, 128, torch.bfloat16, 128, [129, 5, 0]),
    (1, 2, 1, 40, 256, torch.float32, None, [40, 17]),
    (1, 1, 2, 9, 64, torch.float32, 16, [0, 0]),
]


@pytest.mark.parametrize("room", [0, 3])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case[:6])))
def test_the_kept_tokens_lie_in_their_segments(case: tuple, room: int, amid_nan: Callable[[Tensor], Tensor]) -> None:
    n_contexts, n_rows, n_heads, n_tokens, dim, dtype, block, n_kept = case
    random = torch.Generator().manual_seed(n_tokens)
    keys = torch.randn(n_contexts, n_heads, n_tokens, dim, generator=random).to(dtype)
    values = torch.randn(n_contexts, n_heads, n_tokens, dim, generator=random).to(dtype)
    order = torch.rand(n_rows * n_heads, n_tokens, generator=random).argsort(dim=-1).argsort(dim=-1)
    kept = Kept.of_mask((order < torch.tensor(n_kept).unsqueeze(-1)).view(n_rows, n_heads, n_tokens))
    segments = Segments.packed(kept.counts, kept.counts + room)
    in_torch = compact(keys, values, kept, segments)
    flat = in_triton(amid_nan(keys), values, kept, segments, block)
    starts, lengths = segments.starts.flatten().tolist(), segments.lengths.flatten().tolist()
    for source, of_torch, of_triton in zip((keys, values), in_torch, flat, strict=True):
        assert of_torch.shape == of_triton.shape == (sum(n_kept) + room * len(n_kept), dim)
        for index, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            row, head = divmod(index, n_heads)
            expected = source[row if n_contexts > 1 else 0, head][kept.mask[row, head]]
            assert torch.equal(of_torch[start : start + length], expected)
            assert torch.equal(of_triton[start : start + length], expected)
            assert of_triton[start + length : start + length + room].isnan().all(), "room was written"


class Largest(TorchDispatchMode):
    """The most floats of a tensor that an operation makes."""

    n = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        given = [each.untyped_storage().data_ptr() for each in args if isinstance(each, Tensor)]
        if isinstance(out, Tensor) and out.is_floating_point() and out.untyped_storage().data_ptr() not in given:
            self.n = max(self.n, out.numel())
        return out


@pytest.mark.parametrize("n_contexts", [1, 2])
def test_in_torch_states_made_token_by_token_are_not_copied_whole(n_contexts: int) -> None:
    random, (n_heads, n_tokens, dim) = torch.Generator().manual_seed(3), (3, 50, 16)
    keys = torch.randn(n_contexts, n_tokens, n_heads, dim, generator=random).transpose(1, 2)
    values = torch.randn(n_contexts, n_heads, n_tokens, dim, generator=random)  # not all models do
    kept = Kept.of_mask(torch.rand(2, n_heads, n_tokens, generator=random) < 0.1)
    segments = Segments.packed(kept.counts, kept.counts + 1)
    with Largest() as largest:
        flat = compact(keys, values, kept, segments)
    assert largest.n == int(segments.capacities.sum()) * dim < keys.numel() // 2
    rows = torch.arange(2) if n_contexts > 1 else torch.zeros(2, dtype=torch.int64)
    for source, of_torch in zip((keys, values), flat, strict=True):
        assert torch.equal(of_torch[segments.slots()], source[rows][kept.mask])
