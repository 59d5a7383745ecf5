"""What the kernels' own loads and stores move, against the floors that their ops state."""

from types import ModuleType

import pytest
import torch
from torch import Tensor

from lukv_bench.kernels import append, compact, keydiff, projected_norm, ragged_attention, select, window_attention
from lukv_bench.kernels.form import Form
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
        window_kernels.window_attention(queries, keys, Form(0.125), chunk=256)
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


@pytest.mark.parametrize("n_new", [1, 5])
def test_an_append_moves_each_new_token_once(byte_counter: ModuleType, n_new: int) -> None:
    lengths, dim = torch.tensor([[3, 0], [40, 9]]), 80
    before, new_lengths = Segments.packed(lengths, lengths + n_new), torch.tensor([n_new, n_new - 1])
    keys, values = torch.zeros(2, int(before.capacities.sum()), dim)
    new = random(2, 2, n_new, dim)
    with byte_counter.bytes_moved() as moved:
        append.append(keys, values, before, new, new, new_lengths, backend="triton-interpret")
    kept = moved.read["append_kernel.new_keys"] + moved.read["append_kernel.new_values"] + moved.written.total()
    floor = append.floor_bytes(int(new_lengths.sum()), 2, dim, 4)
    assert kept == floor
    assert moved.total <= 1.05 * floor


def test_ragged_decoding_reads_kept_keys_and_values_once(byte_counter: ModuleType) -> None:
    dtype, lengths, dim = torch.bfloat16, torch.tensor([[900, 1, 0, 123]]), 64
    segments, query = Segments.packed(lengths, lengths + 4), random(1, 16, 1, 64, dtype=dtype)
    keys, values = (random(int(segments.capacities.sum()), dim, dtype=dtype) for _ in range(2))
    with byte_counter.bytes_moved() as moved:
        ragged_attention.ragged_attention(
            query, keys, values, segments, torch.zeros(1, dtype=torch.int64), Form(0.1), backend="triton-interpret"
        )
    kept = 2 * 1024 * dim * keys.itemsize
    assert moved.read["attend_kernel.keys"] + moved.read["attend_kernel.values"] == kept
    assert ragged_attention.floor_bytes(1024, 1, 16, dim, keys.itemsize) <= moved.total <= 1.1 * kept
