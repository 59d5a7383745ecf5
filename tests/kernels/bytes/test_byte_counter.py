"""The counter, on kernels whose bytes are known exactly."""

from types import ModuleType

import pytest
import torch
import triton
import triton.language as tl


@triton.jit
def copy(source: tl.tensor, target: tl.tensor, n_elements: tl.tensor, BLOCK: tl.constexpr) -> None:
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = at < n_elements
    tl.store(target + at, tl.load(source + at, mask=real, other=0.0), mask=real)


@triton.jit
def tally(source: tl.tensor, counts: tl.tensor, total: tl.tensor, first: tl.tensor, BLOCK: tl.constexpr) -> None:
    """A load without a mask, atomics with one, a scalar that is exchanged."""
    values = tl.load(source + tl.arange(0, BLOCK))
    tl.atomic_add(counts + values, 1, mask=values > 0)
    tl.atomic_cas(total, 0, 7)
    if tl.load(first) > 0:
        tl.store(first, 0)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2), (torch.uint8, 1)])
def test_a_copy_reads_and_writes_each_element_once(byte_counter: ModuleType, dtype: torch.dtype, size: int) -> None:
    source, target = torch.ones(1000).to(dtype), torch.zeros(1000, dtype=dtype)
    with byte_counter.bytes_moved() as moved:
        copy[(8,)](source, target, 1000, BLOCK=128)
    assert torch.equal(source, target)
    assert moved.read == {"copy.source": 1000 * size}
    assert moved.written == {"copy.target": 1000 * size}
    assert moved.total == 2000 * size


def test_atomics_read_and_write_what_their_mask_lets_through(byte_counter: ModuleType) -> None:
    source, counts = torch.tensor([0, 1, 1, 3], dtype=torch.int64), torch.zeros(4, dtype=torch.int32)
    total, first = torch.zeros(1, dtype=torch.int32), torch.zeros(1, dtype=torch.int32)
    with byte_counter.bytes_moved() as moved:
        tally[(1,)](source, counts, total, first, BLOCK=4)
    assert counts.tolist() == [0, 2, 0, 1]
    assert moved.read == {"tally.source": 32, "tally.counts": 12, "tally.total": 4, "tally.first": 4}
    assert moved.written == {"tally.counts": 12, "tally.total": 4}


def test_parts_of_one_tensor_are_told_apart(byte_counter: ModuleType) -> None:
    both = torch.arange(64.0)
    with byte_counter.bytes_moved() as moved:
        copy[(1,)](both[:32], both[32:], 32, BLOCK=32)
    assert moved.read == {"copy.source": 128}
    assert moved.written == {"copy.target": 128}


def test_an_address_outside_the_arguments_is_an_error(byte_counter: ModuleType) -> None:
    memory = torch.zeros(64)
    with byte_counter.bytes_moved(), pytest.raises(Exception, match="outside its arguments"):
        copy[(1,)](memory[:32], torch.zeros(32), 33, BLOCK=64)


def test_nothing_is_counted_afterwards(byte_counter: ModuleType) -> None:
    with byte_counter.bytes_moved() as moved:
        pass
    copy[(1,)](torch.zeros(32), torch.zeros(32), 32, BLOCK=32)
    assert not moved.total
