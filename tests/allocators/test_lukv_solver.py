"""The hull against a brute-force hull, the solver against a heap."""

import heapq
import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lukv_bench.allocators.lukv_hull import Plateaus, relax
from lukv_bench.allocators.lukv_solver import greedy_evictions

importance = st.one_of(
    st.integers(0, 3).map(float),
    st.floats(0, 1e6, width=32, allow_subnormal=False),
    st.sampled_from([0.0, 1e-12, 1e-6, 1e9]),
)


@st.composite
def tables(draw: st.DrawFn, values: st.SearchStrategy[float] = importance, most: int = 12) -> NDArray[np.float64]:
    """Importance [heads, E] in eviction order."""
    n_heads, n_tokens = draw(st.integers(1, 4)), draw(st.integers(1, most))
    n = n_heads * n_tokens
    return np.array(draw(st.lists(values, min_size=n, max_size=n))).reshape(n_heads, n_tokens)


def hull_marginals(row: NDArray[np.float64]) -> list[Fraction]:
    """Steps of the lower convex hull of the cumulative loss: under every chord, in exact fractions."""
    loss = [Fraction(0), *itertools.accumulate(Fraction(float(x)) for x in row)]
    hull = [
        min(
            loss[a] + (loss[b] - loss[a]) * Fraction(i - a, b - a) if b > a else loss[i]
            for a in range(i + 1)
            for b in range(i, len(loss))
        )
        for i in range(len(loss))
    ]
    return [after - before for before, after in itertools.pairwise(hull)]


def spread(plateaus: Plateaus, n_heads: int) -> list[list[float]]:
    """The marginals of each head, token by token."""
    return [np.repeat(plateaus.values[at], plateaus.lengths[at]).tolist() for at in in_heads(plateaus, n_heads)]


def in_heads(plateaus: Plateaus, n_heads: int) -> list[NDArray[np.bool_]]:
    return [plateaus.heads == head for head in range(n_heads)]


def by_heap(marginals: list[list[float]], targets: list[int]) -> list[list[int]]:
    """The published solver: pop the cheapest (loss, head), one token at a time."""
    heap = [(head[0], index) for index, head in enumerate(marginals) if head]
    heapq.heapify(heap)
    evicted = [0] * len(marginals)
    rows = []
    for target in targets:
        while sum(evicted) < target:
            _, index = heapq.heappop(heap)
            evicted[index] += 1
            if evicted[index] < len(marginals[index]):
                heapq.heappush(heap, (marginals[index][evicted[index]], index))
        rows.append(list(evicted))
    return rows


@settings(deadline=None)
@given(tables())
def test_relaxed_losses_are_the_lower_convex_hull(table: NDArray[np.float64]) -> None:
    for row, got in zip(table, spread(relax(table), len(table)), strict=True):
        np.testing.assert_allclose(got, [float(x) for x in hull_marginals(row)], rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(tables())
@example(np.array([[5.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
def test_relaxed_losses_rise_and_lose_no_mass(table: NDArray[np.float64]) -> None:
    plateaus = relax(table)
    assert (plateaus.heads.dtype, plateaus.lengths.dtype, plateaus.values.dtype) == (np.int64, np.int64, np.float64)
    assert (np.diff(plateaus.heads) >= 0).all()
    assert (plateaus.lengths > 0).all()
    for row, at in zip(table, in_heads(plateaus, len(table)), strict=True):
        assert int(plateaus.lengths[at].sum()) == len(row)
        assert (np.diff(plateaus.values[at]) > 0).all()
        total = float((plateaus.values[at] * plateaus.lengths[at]).sum())
        assert total == pytest.approx(float(row.sum()), rel=1e-9, abs=1e-12)


def test_a_loss_that_is_convex_already_is_left_as_it_is() -> None:
    table = np.sort(np.random.default_rng(0).pareto(1.0, (3, 200)), axis=1)
    assert np.array_equal(np.array(spread(relax(table), 3)), table)


def test_float32_tables_are_summed_in_double_precision() -> None:
    row = np.array([[1.0] + [1e-8] * 1000], dtype=np.float32)
    plateaus = relax(row)
    assert len(plateaus.values) == 1
    assert float(plateaus.values[0]) * 1001 == pytest.approx(1 + 1000 * float(np.float32(1e-8)), rel=1e-12)


@settings(deadline=None)
@given(tables(), st.data())
def test_solver_equals_a_heap_of_loss_and_head(table: NDArray[np.float64], data: st.DataObject) -> None:
    plateaus = relax(table)
    targets = sorted(data.draw(st.lists(st.integers(0, table.size), min_size=1, max_size=8)))
    got = greedy_evictions(plateaus, len(table), targets)
    assert got.dtype == np.int64
    assert got.tolist() == by_heap(spread(plateaus, len(table)), targets)
    assert got.sum(axis=1).tolist() == targets
    assert (np.diff(got, axis=0) >= 0).all()
    assert (got <= table.shape[1]).all()


@settings(deadline=None)
@given(tables(st.sampled_from([0.0, 1.0]), most=30))
def test_solver_equals_a_heap_at_every_target_when_nearly_all_losses_tie(table: NDArray[np.float64]) -> None:
    plateaus = relax(table)
    targets = list(range(table.size + 1))
    expected = by_heap(spread(plateaus, len(table)), targets)
    assert greedy_evictions(plateaus, len(table), targets).tolist() == expected


def test_solver_equals_a_heap_on_heavy_tailed_tables_of_real_size() -> None:
    table = np.random.default_rng(1).pareto(0.7, (90, 500)).astype(np.float32)
    plateaus = relax(table)
    targets = [round(table.size * target / 100) for target in range(1, 100)]
    assert greedy_evictions(plateaus, 90, targets).tolist() == by_heap(spread(plateaus, 90), targets)


def test_equal_losses_go_to_the_lower_head_first() -> None:
    assert greedy_evictions(relax(np.zeros((3, 4))), 3, [3, 5, 12]).tolist() == [[3, 0, 0], [4, 1, 0], [4, 4, 4]]


@settings(deadline=None, max_examples=50)
@given(tables(most=4), st.data())
def test_no_other_allocation_has_a_smaller_relaxed_loss(table: NDArray[np.float64], data: st.DataObject) -> None:
    n_heads, n_tokens = table.shape
    plateaus = relax(table)
    losses = [[0.0, *itertools.accumulate(head)] for head in spread(plateaus, n_heads)]
    target = data.draw(st.integers(0, table.size))
    every = (c for c in itertools.product(range(n_tokens + 1), repeat=n_heads) if sum(c) == target)
    best = min(sum(loss[n] for loss, n in zip(losses, counts, strict=True)) for counts in every)
    got = greedy_evictions(plateaus, n_heads, [target])[0]
    assert sum(loss[n] for loss, n in zip(losses, got, strict=True)) == pytest.approx(best, rel=1e-9, abs=1e-12)
