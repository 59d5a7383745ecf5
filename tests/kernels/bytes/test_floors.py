"""What the kernels' own loads and stores move, against the floors that their ops state."""

from types import ModuleType

import pytest
import torch
from torch import Tensor

from lukv_bench.kernels import compact, keydiff, projected_norm, select, window_attention
from lukv_bench.kernels.segments import Segments
from lukv_bench.kernels.window_attention import triton as window_kernels

DTYPES = [torch.bfloat16, torch.float32]


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_compaction_moves_each_kept_token_once(byte_counter: ModuleType, dtype: torch.dtype) -> None:
    keys, values = random(1, 4, 200, 80, dtype=dtype), random(1, 4, 200, 80, dtype=dtype)
    counts = torch.tensor([[200, 1, 0, 77]])
    kept = select.select(random(1, 4, 200), counts, torch.zeros(200, dtype=torch.bool))
    with byte_counter.bytes_moved() as moved:
        compact.compact(keys, values, kept, Segments.packed(counts, counts + 8), backend="triton-interpret")
    floor = compact.floor_bytes(278, 80, keys.itemsize)
    assert floor <= moved.total <= 1.05 * floor


@pytest.mark.parametrize("dtype", DTYPES)
def test_keydiff_reads_the_keys_twice(byte_counter: ModuleType, dtype: torch.dtype) -> None:
    keys = random(1, 2, 250, 64, dtype=dtype)
    with byte_counter.bytes_moved() as moved:
        keydiff.keydiff(keys, backend="triton-interpret")
    floor = keydiff.floor_bytes(1, 2, 250, 64, keys.itemsize)
    assert floor <= moved.total <= 1.05 * floor
    assert all(moved.read[f"{kernel}.keys"] == keys.nbytes for kernel in ("unit_sums_kernel", "scores_kernel"))


def test_window_attention_reads_the_keys_twice_and_writes_no_matrix(byte_counter: ModuleType) -> None:
    keys, queries = random(1, 2, 250, 64, dtype=torch.bfloat16), random(1, 8, 16, 64, dtype=torch.bfloat16)
    with byte_counter.bytes_moved() as moved:
        window_kernels.window_attention(queries, keys, 0.125, chunk=256)
    floor = window_attention.floor_bytes(1, 2, 4, 250, 16, 64, 2)
    assert floor <= moved.total <= 1.05 * floor
    assert moved.read["log_sum_exp_kernel.keys"] == keys.nbytes
    assert moved.read["column_means_kernel.keys"] == keys[:, :, :234].nbytes


def test_projected_norms_read_the_values_once(byte_counter: ModuleType) -> None:
    values = random(1, 2, 40, 64)
    with byte_counter.bytes_moved() as moved:
        projected_norm.projected_norm(values, random(8, 64, 96), backend="triton-interpret")
    assert moved.read["projected_norm_kernel.values"] == values.nbytes
    assert moved.written == {"projected_norm_kernel.norms": 8 * 40 * 4}


def test_selection_reads_the_scores_five_times(byte_counter: ModuleType) -> None:
    scores, counts = random(1, 3, 250), torch.tensor([[250, 0, 99]])
    with byte_counter.bytes_moved() as moved:
        select.select(scores, counts, torch.zeros(250, dtype=torch.bool), backend="triton-interpret")
    assert moved.read["select_kernel.scores"] == 5 * scores.nbytes
    assert moved.written == {"select_kernel.mask": 750, "select_kernel.positions": 349 * 8}
