"""The append in Triton, interpreted, writes what torch writes and nothing else."""

import pytest
import torch

from lukv_bench.kernels.append import append
from lukv_bench.kernels.backend import Backend
from lukv_bench.kernels.segments import Segments

BACKENDS: tuple[Backend, ...] = ("torch", "triton-interpret")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("n_new", "dim", "new"), [(1, 80, [1, 0]), (1, 64, [1, 1]), (37, 96, [5, 37])], ids=str)
def test_each_slot_is_as_torch_leaves_it(dtype: torch.dtype, n_new: int, dim: int, new: list[int]) -> None:
    random = torch.Generator().manual_seed(n_new)
    lengths = torch.tensor([[0, 7, 1], [2, 0, 30]])
    segments, new_lengths = Segments.packed(lengths, lengths + 40), torch.tensor(new)
    n_slots = int(segments.capacities.sum())
    new_keys, new_values = torch.randn(2, 2, n_new, 3, dim, generator=random).to(dtype).transpose(2, 3)
    kept = {}
    for backend in BACKENDS:
        keys, values = torch.full((2, n_slots, dim), 9.0, dtype=dtype)
        append(keys, values, segments, new_keys, new_values, new_lengths, backend=backend)
        kept[backend] = torch.stack([keys, values])
    assert torch.equal(kept["torch"], kept["triton-interpret"])
    assert int((kept["torch"][0] != 9).any(dim=1).sum()) == 3 * sum(new)
