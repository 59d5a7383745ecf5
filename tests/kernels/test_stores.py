"""The ragged store and the masked (shared) store: each against the definition, torch and the other."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lukv_bench.kernels.form import Form
from lukv_bench.kernels.ragged_store import RaggedStore, compact
from lukv_bench.kernels.select import Kept, select
from lukv_bench.kernels.shared_store import SharedStore

SCALE = 0.37
CHUNKS = [(17, "some"), (1, "all"), (1, "some"), (5, "none of a row"), (1, "all"), (3, "all")]
"""Widths fed one after the other, and how many of their tokens are real in each row."""


def lengths_of(n_batch: int, width: int, which: str, seed: int) -> Tensor:
    """int64 [B]; "some" and "none of a row" leave row 0 full, so that something is fed."""
    new = torch.full((n_batch,), width, dtype=torch.int64)
    if which != "all":
        new[1:] = torch.randint(width + 1, (n_batch - 1,), generator=torch.Generator().manual_seed(seed))
    if which == "none of a row":
        new[-1] = 0 if n_batch > 1 else width
    return new


def kept_at_random(case: Any, seed: int = 0, n_protected: int = 0) -> Kept:
    """Any count from the protected to T in each head; the first head of the last row keeps as little as it may."""
    random = torch.Generator().manual_seed(seed)
    shape = (case.n_batch, case.n_heads, case.n_tokens)
    counts = torch.randint(n_protected, case.n_tokens + 1, shape[:2], generator=random)
    counts[-1, 0] = n_protected
    protected = torch.arange(case.n_tokens) < n_protected
    return select(torch.rand(shape, generator=random), counts, protected)


def spare_slots(store: RaggedStore | SharedStore) -> Tensor:
    """Bool [S]: slots of the flat tensors that hold no token."""
    kv = store.kv if isinstance(store, RaggedStore) else store.tail
    spare = torch.ones(len(kv.keys), dtype=torch.bool)
    spare[kv.segments.slots()] = False
    return spare


def poison(store: RaggedStore | SharedStore) -> None:
    """NaN wherever no token lies."""
    kv, spare = store.kv if isinstance(store, RaggedStore) else store.tail, spare_slots(store)
    kv.keys[spare] = kv.values[spare] = float("nan")


@pytest.mark.parametrize("room", [0, 2, 40])
def test_ragged_store_attends_as_the_definition_says(
    case: Any, room: int, remember: type, assert_same: Callable[..., None]
) -> None:
    keys, values = case.context(case.n_batch)
    kept = kept_at_random(case, seed=room)
    store, expected = compact(keys, values, kept, room), remember(keys, values, kept.mask)
    for step, (width, which) in enumerate(CHUNKS):
        new = lengths_of(case.n_batch, width, which, step)
        query, chunk_keys, chunk_values = case.chunk(width, step)
        store.append(chunk_keys, chunk_values, new)
        expected.append(chunk_keys, chunk_values, new)
        poison(store)
        got = store.attend(query, new, Form(SCALE))
        assert got.dtype == query.dtype
        assert_same(got, expected.attend(query, new, SCALE))
        assert_same(got, expected.attend_by_torch(query, new, SCALE))
        assert int(store.kv.segments.lengths.sum()) == expected.n_slots


@pytest.mark.parametrize("room", [0, 2, 40])
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "whole"])
def test_shared_store_attends_as_the_definition_says(
    case: Any, room: int, masked: bool, remember: type, assert_same: Callable[..., None]
) -> None:
    keys, values = case.context(1)
    everything = torch.ones(case.n_batch, case.n_heads, case.n_tokens, dtype=torch.bool)
    mask = kept_at_random(case, seed=room).mask if masked else everything
    store = SharedStore.over(keys, values, case.n_batch, mask if masked else None, room)
    rows = (case.n_batch, -1, -1, -1)
    expected = remember(keys.expand(rows), values.expand(rows), mask)
    for step, (width, which) in enumerate(CHUNKS):
        new = lengths_of(case.n_batch, width, which, step)
        query, chunk_keys, chunk_values = case.chunk(width, step)
        store.append(chunk_keys, chunk_values, new)
        expected.append(chunk_keys, chunk_values, new)
        poison(store)
        got = store.attend(query, new, Form(SCALE))
        assert got.dtype == query.dtype
        assert_same(got, expected.attend(query, new, SCALE))
        assert_same(got, expected.attend_by_torch(query, new, SCALE))


def test_ragged_and_masked_store_give_the_same_output(case: Any, assert_same: Callable[..., None]) -> None:
    keys, values = case.context(1)
    kept = kept_at_random(case, seed=3, n_protected=2)
    rows = (case.n_batch, -1, -1, -1)
    ragged = compact(keys.expand(rows), values.expand(rows), kept, 4)
    masked = SharedStore.over(keys, values, case.n_batch, kept.mask, 4)
    for step, (width, which) in enumerate(CHUNKS):
        new = lengths_of(case.n_batch, width, which, step)
        query, chunk_keys, chunk_values = case.chunk(width, step)
        ragged.append(chunk_keys, chunk_values, new)
        masked.append(chunk_keys, chunk_values, new)
        expected = masked.attend(query, new, Form(SCALE))
        expected[torch.arange(width) >= new.unsqueeze(-1)] = float("nan")
        assert_same(ragged.attend(query, new, Form(SCALE)), expected)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float16, 4e-3), (torch.bfloat16, 3e-2)], ids=["fp16", "bf16"])
def test_half_precision_stays_within_its_rounding(
    case: Any, dtype: torch.dtype, atol: float, remember: type, assert_same: Callable[..., None]
) -> None:
    keys, values = (tensor.to(dtype) for tensor in case.context(1))
    kept = kept_at_random(case, seed=4, n_protected=1)
    rows = (case.n_batch, -1, -1, -1)
    ragged = compact(keys.expand(rows), values.expand(rows), kept, 3)
    masked = SharedStore.over(keys, values, case.n_batch, kept.mask, 3)
    expected = remember(keys.expand(rows), values.expand(rows), kept.mask)
    for step, width in enumerate((7, 1)):
        new = torch.full((case.n_batch,), width)
        query, chunk_keys, chunk_values = (tensor.to(dtype) for tensor in case.chunk(width, step))
        expected.append(chunk_keys, chunk_values, new)
        for store in (ragged, masked):
            store.append(chunk_keys, chunk_values, new)
            poison(store)
            got = store.attend(query, new, Form(case.dim**-0.5))
            assert got.dtype == dtype
            assert_same(got, expected.attend(query, new, case.dim**-0.5), atol=atol)


def test_huge_logits_give_no_nan(remember: type, assert_same: Callable[..., None], case: Any) -> None:
    keys, values = case.context(1)
    kept = kept_at_random(case, seed=5, n_protected=1)
    rows = (case.n_batch, -1, -1, -1)
    query, chunk_keys, chunk_values = case.chunk(3, 0)
    new = torch.full((case.n_batch,), 3)
    expected = remember(keys.expand(rows) * 100, values.expand(rows), kept.mask)
    expected.append(chunk_keys * 100, chunk_values, new)
    for store in (
        compact(keys.expand(rows) * 100, values.expand(rows), kept, 3),
        SharedStore.over(keys * 100, values, case.n_batch, kept.mask, 3),
    ):
        store.append(chunk_keys * 100, chunk_values, new)
        assert_same(store.attend(query, new, Form(1.0)), expected.attend(query, new, 1.0), atol=1e-3)


def test_context_weights_are_the_softmax_over_context_and_tail(case: Any) -> None:
    keys, values = case.context(1)
    mask = kept_at_random(case, seed=6).mask
    seen = []
    store = SharedStore.over(keys, values, case.n_batch, mask, 9, lambda *shown: seen.append(shown))
    group = case.n_query_heads // case.n_heads
    query, chunk_keys, chunk_values = case.chunk(5, 0)
    new = torch.full((case.n_batch,), 5)
    store.append(chunk_keys, chunk_values, new)
    store.attend(query, new, Form(SCALE))
    ((weights, rows),) = seen
    assert rows.tolist() == list(range(case.n_batch))
    weights = weights.flatten(1, 2)
    assert weights.dtype == torch.float32
    assert weights.shape == (case.n_batch, case.n_query_heads, 5, case.n_tokens + 5)
    for b in range(case.n_batch):
        for q_head in range(case.n_query_heads):
            h = q_head // group
            all_keys = torch.cat([keys[0, h], chunk_keys[b, h]]).double()
            for i in range(5):
                seen = torch.cat([mask[b, h], torch.arange(5) <= i])
                logits = (all_keys @ query[b, q_head, i].double()) * SCALE
                expected = logits.masked_fill(~seen, float("-inf")).softmax(0)
                torch.testing.assert_close(weights[b, q_head, i].double(), expected, atol=1e-6, rtol=1e-5)
                assert (weights[b, q_head, i, : case.n_tokens][~mask[b, h]] == 0).all()


def test_ragged_store_copies_nothing_stored_while_there_is_room(case: Any) -> None:
    store = compact(*case.context(case.n_batch), kept_at_random(case), room=30)
    for step, (width, which) in enumerate(CHUNKS[:4]):
        tensors, stored = (store.kv.keys, store.kv.values), ~spare_slots(store)
        addresses = [tensor.data_ptr() for tensor in tensors]
        before = [tensor[stored].clone() for tensor in tensors]
        _, keys, values = case.chunk(width, step)
        store.append(keys, values, lengths_of(case.n_batch, width, which, step))
        assert [store.kv.keys.data_ptr(), store.kv.values.data_ptr()] == addresses
        assert all(
            torch.equal(tensor[stored], old)
            for tensor, old in zip((store.kv.keys, store.kv.values), before, strict=True)
        )


def test_shared_store_copies_neither_context_nor_tail_while_there_is_room(case: Any) -> None:
    keys, values = case.context(1)
    store = SharedStore.over(keys, values, case.n_batch, None, room=30)
    tail = store.tail.keys.data_ptr()
    for step, (width, which) in enumerate(CHUNKS[:4]):
        query, chunk_keys, chunk_values = case.chunk(width, step)
        new = lengths_of(case.n_batch, width, which, step)
        store.append(chunk_keys, chunk_values, new)
        store.attend(query, new, Form(SCALE))
        assert store.tail.keys.data_ptr() == tail
        assert (store.keys.data_ptr(), store.values.data_ptr()) == (keys.data_ptr(), values.data_ptr())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["fp32", "fp16"])
def test_kv_bytes_are_slots_times_two_vectors(case: Any, dtype: torch.dtype) -> None:
    keys, values = (tensor.to(dtype) for tensor in case.context(case.n_batch))
    kept = kept_at_random(case, seed=7)
    per_slot = 2 * case.dim * dtype.itemsize
    tight = compact(keys, values, kept, room=0)
    assert sum(tight.kv_bytes_by_row()) == int(kept.mask.sum()) * per_slot
    assert sum(tight.kv_bytes_by_row()) == tight.allocated_bytes
    assert (
        sum(tight.kv_bytes_by_row())
        == tight.kv.keys.untyped_storage().nbytes() + tight.kv.values.untyped_storage().nbytes()
    )
    roomy = compact(keys, values, kept, room=11)
    assert roomy.kv_bytes_by_row() == tight.kv_bytes_by_row()
    assert roomy.allocated_bytes == tight.allocated_bytes + 11 * case.n_batch * case.n_heads * per_slot
    new = lengths_of(case.n_batch, 4, "some", 0)
    _, chunk_keys, chunk_values = (tensor.to(dtype) for tensor in case.chunk(4, 0))
    for store in (tight, roomy):
        store.append(chunk_keys, chunk_values, new)
        assert sum(store.kv_bytes_by_row()) == (int(kept.mask.sum()) + int(new.sum()) * case.n_heads) * per_slot
        assert store.allocated_bytes >= sum(store.kv_bytes_by_row())


def test_what_was_evicted_is_gone_from_the_ragged_store(case: Any) -> None:
    keys, values = case.context(case.n_batch)
    kept = kept_at_random(case, seed=8)
    store = compact(keys, values, kept, room=0)
    assert torch.equal(store.kv.keys, keys[kept.mask])
    assert torch.equal(store.kv.values, values[kept.mask])


def test_ragged_store_shares_no_memory_with_the_full_cache(case: Any) -> None:
    keys, values = case.context(case.n_batch)
    everything = torch.full((case.n_batch, case.n_heads), case.n_tokens)
    scores, protected = torch.zeros_like(keys[..., 0]), torch.zeros(case.n_tokens, dtype=torch.bool)
    store = compact(keys, values, select(scores, everything, protected), room=0)
    before = store.kv.keys.clone(), store.kv.values.clone()
    keys.zero_()
    values.zero_()
    assert torch.equal(store.kv.keys, before[0])
    assert torch.equal(store.kv.values, before[1])


def test_segments_never_overlap_however_far_the_store_grows(case: Any) -> None:
    store = compact(*case.context(case.n_batch), kept_at_random(case, seed=9), room=1)
    for step in range(12):
        width = (1, 1, 6)[step % 3]
        new = lengths_of(case.n_batch, width, "none of a row" if step % 2 else "some", step)
        _, keys, values = case.chunk(width, step)
        store.append(keys, values, new)
        segments = sorted(
            zip(
                store.kv.segments.starts.flatten().tolist(),
                store.kv.segments.capacities.flatten().tolist(),
                strict=True,
            )
        )
        assert all(a + room <= b for (a, room), (b, _) in itertools.pairwise(segments))
        assert segments[-1][0] + segments[-1][1] <= len(store.kv.keys) == len(store.kv.values)
        assert not store.kv.segments.overflow


def test_a_ragged_store_that_grows_at_least_doubles_every_segment() -> None:
    keys, values = torch.zeros(2, 1, 3, 4), torch.zeros(2, 1, 3, 4)
    everything = select(keys[..., 0], torch.full((2, 1), 3), torch.zeros(3, dtype=torch.bool))
    store = compact(keys, values, everything, room=10)
    before = store.kv.segments.capacities.clone()
    store.append(torch.zeros(2, 1, 11, 4), torch.zeros(2, 1, 11, 4), torch.tensor([11, 0]))
    assert (store.kv.segments.capacities >= 2 * before).all(), "its docstring: twice their capacity at least"


def test_the_padding_of_a_row_never_lands_in_its_neighbour(remember: type, assert_same: Callable[..., None]) -> None:
    random = torch.Generator().manual_seed(0)
    keys, values = torch.randn(2, 2, 1, 2, 3, 4, generator=random)[:, :, 0]
    everything = select(keys[..., 0], torch.full((2, 2), 3), torch.zeros(3, dtype=torch.bool))
    store, expected = compact(keys, values, everything, room=3), remember(keys, values, everything.mask)
    for new in (torch.tensor([3, 0]), torch.tensor([0, 3])):
        chunk_keys, chunk_values = torch.randn(2, 2, 2, 3, 4, generator=random)
        store.append(chunk_keys, chunk_values, new)
        expected.append(chunk_keys, chunk_values, new)
    query = torch.randn(2, 2, 3, 4, generator=random)
    assert_same(store.attend(query, new, Form(SCALE)), expected.attend(query, new, SCALE))
    row_0 = torch.tensor([1, 0])  # its newest token sees all that row 0 holds
    assert_same(store.attend(query, row_0, Form(SCALE)), expected.attend(query, row_0, SCALE))


def test_a_row_that_adds_nothing_is_left_alone(case: Any) -> None:
    if case.n_batch == 1:
        case = type(case)(2, case.n_tokens, case.n_heads, case.n_query_heads, case.dim)
    kept = kept_at_random(case, seed=11)
    ragged = compact(*case.context(case.n_batch), kept, room=8)
    shared = SharedStore.over(*case.context(1), case.n_batch, kept.mask, room=8)
    frozen = ragged.kv.segments.lengths[-1].clone()
    new = torch.full((case.n_batch,), 3)
    new[-1] = 0
    _, keys, values = case.chunk(3, 0)
    for store in (ragged, shared):
        store.append(keys, values, new)
    assert torch.equal(ragged.kv.segments.lengths[-1], frozen)
    assert shared.tail.segments.lengths[:, 0].tolist() == new.tolist()
    assert shared.tail.keys.view(case.n_batch, -1)[-1].isnan().all()
