"""Every allocator keeps its budget to the slot, in every sequence, whatever is asked."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lukv_bench.allocators.base import AllocationRequest, Allocator, check_counts
from lukv_bench.allocators.full import Full
from lukv_bench.allocators.lukv import LUKV
from lukv_bench.allocators.uniform import Uniform
from lukv_bench.scorers.base import Protection

Ask = Callable[..., AllocationRequest]


@st.composite
def sizes(draw: st.DrawFn) -> dict[str, Any]:
    """Layers, heads, sequences, tokens and a protection that may cover everything."""
    return {
        "n_layers": draw(st.integers(1, 5)),
        "n_heads": draw(st.integers(1, 4)),
        "n_batch": draw(st.integers(1, 3)),
        "n_tokens": draw(st.integers(1, 300)),
        "protection": Protection(draw(st.integers(0, 6)), draw(st.integers(0, 6))),
    }


def floor_and_ceiling(ask: Ask, given_: dict[str, Any]) -> tuple[int, int]:
    empty = ask(0, **given_)
    return empty.n_heads * empty.n_protected, empty.n_heads * empty.n_tokens


def assert_keeps_the_contract(allocator: Allocator, request: AllocationRequest) -> Tensor:
    counts = allocator.allocate(request)
    check_counts(counts, request)
    assert tuple(counts.shape) == request.shape
    assert counts.dtype == torch.int64
    for b in range(request.n_batch):
        assert int(counts[:, b].sum()) == request.budget
        assert torch.equal(counts[:, b], counts[:, 0])
    assert request.n_protected <= int(counts.min())
    assert int(counts.max()) <= request.n_tokens
    assert torch.equal(allocator.allocate(request), counts)
    alone = allocator.allocate(replace(request, n_batch=1))
    assert torch.equal(alone, counts[:, :1])
    counts += 1  # a caller may write into what it was given
    return alone


@settings(deadline=None)
@given(sizes(), st.data())
def test_uniform_keeps_the_contract_and_treats_heads_alike(
    ask: Ask, given_: dict[str, Any], data: st.DataObject
) -> None:
    request = ask(data.draw(st.integers(*floor_and_ceiling(ask, given_))), **given_)
    counts = assert_keeps_the_contract(Uniform(), request).flatten()
    each, left_over = divmod(request.budget, request.n_heads)
    assert counts.tolist() == [each + 1] * left_over + [each] * (request.n_heads - left_over)


@settings(deadline=None)
@given(sizes(), st.integers(0, 2**16), st.data())
def test_lukv_keeps_the_contract_for_any_profile(
    ask: Ask, rising_curve: Callable[..., Tensor], given_: dict[str, Any], seed: int, data: st.DataObject
) -> None:
    low, high = floor_and_ceiling(ask, given_)
    low += -(-(high - low) // 100)  # its profile ends at 99%
    curve = rising_curve(given_["n_layers"], given_["n_heads"], seed)
    assert_keeps_the_contract(LUKV(), ask(data.draw(st.integers(low, high)), curve=curve, **given_))


@settings(deadline=None)
@given(sizes())
def test_full_keeps_everything(ask: Ask, given_: dict[str, Any]) -> None:
    request = ask(floor_and_ceiling(ask, given_)[1], **given_)
    assert (assert_keeps_the_contract(Full(), request) == request.n_tokens).all()


@pytest.mark.parametrize("allocator", [Uniform(), LUKV()], ids=["uniform", "lukv"])
def test_the_budget_that_keeps_everything_gives_the_full_cache(
    ask: Ask, rising_curve: Callable[..., Tensor], allocator: Allocator
) -> None:
    request = ask(3 * 2 * 50, n_batch=2, curve=rising_curve(3, 2, 0))
    assert torch.equal(allocator.allocate(request), Full().allocate(request))
