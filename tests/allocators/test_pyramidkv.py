"""PyramidKV against exact fractions, and against what kvpress and the authors' code do where theirs is defined."""

from collections.abc import Callable
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lukv_bench.allocators.base import AllocationRequest, check_counts
from lukv_bench.allocators.pyramidkv import PyramidKV
from lukv_bench.allocators.uniform import Uniform
from lukv_bench.scorers.base import Protection

Ask = Callable[..., AllocationRequest]


@st.composite
def asked(draw: st.DrawFn) -> dict[str, Any]:
    n_tokens = draw(st.integers(1, 400))
    protection = Protection(draw(st.integers(0, 5)), draw(st.integers(0, 9)))
    sizes = {"n_layers": draw(st.integers(1, 6)), "n_heads": draw(st.integers(1, 4)), "n_tokens": n_tokens}
    heads, floor_ = sizes["n_layers"] * sizes["n_heads"], int(protection.mask(n_tokens).sum())
    return {"budget": draw(st.integers(heads * floor_, heads * n_tokens)), "protection": protection, **sizes}


def slow(request: AllocationRequest, beta: int) -> list[list[int]]:
    """[L][H]: the line by its definition, rounded by largest remainder, one slot at a time."""
    protected, evictable = request.n_protected, request.n_tokens - request.n_protected
    mean = Fraction(request.budget, request.n_heads) - protected
    low = mean / beta
    high = 2 * mean - low
    if high > evictable:
        high, low = Fraction(evictable), 2 * mean - evictable
    last = request.n_layers - 1
    line = [protected + (high + (low - high) * Fraction(layer, last) if last else mean) for layer in range(last + 1)]
    ideal = [(place, layer, head) for layer, place in enumerate(line) for head in range(request.n_kv_heads)]
    counts = [[floor(place)] * request.n_kv_heads for place in line]
    missing = request.budget - sum(map(sum, counts))
    for _, layer, head in sorted(ideal, key=lambda part: (floor(part[0]) - part[0], *part[1:]))[:missing]:
        counts[layer][head] += 1
    return counts


@settings(deadline=None, max_examples=300)
@given(asked(), st.integers(1, 40))
def test_counts_are_the_line_in_exact_fractions(ask: Ask, given_: dict[str, Any], beta: int) -> None:
    request = ask(**given_)
    counts = PyramidKV(beta).allocate(request)
    check_counts(counts, request)
    assert counts[:, 0].tolist() == slow(request, beta)


@settings(deadline=None)
@given(asked(), st.integers(1, 40))
def test_no_layer_keeps_more_than_the_one_before(ask: Ask, given_: dict[str, Any], beta: int) -> None:
    counts = PyramidKV(beta).allocate(ask(**given_))[:, 0]
    assert (counts.diff(dim=0) <= 0).all()
    assert (counts.amax(dim=1) - counts.amin(dim=1) <= 1).all(), "heads of a layer are treated alike"


@settings(deadline=None)
@given(asked(), st.integers(1, 40))
def test_flattening_is_told_exactly_when_the_first_layer_cannot_have_what_it_should(
    ask: Ask, given_: dict[str, Any], beta: int
) -> None:
    request = ask(**given_)
    mean = Fraction(request.budget, request.n_heads) - request.n_protected
    wanted = 2 * mean - mean / beta
    notes = PyramidKV(beta).notes(request, PyramidKV(beta).allocate(request))
    flat = wanted > request.n_tokens - request.n_protected and request.n_layers > 1
    assert bool(notes) == flat
    for note in notes:
        assert note["event"] == "pyramid_flattened"
        assert note["beta"] == beta
        assert note["first"] == request.n_tokens < note["asked_first"]
        assert note["first"] + note["last"] == pytest.approx(2 * request.budget / request.n_heads)


@pytest.mark.parametrize("ratio", [75, 87, 90, 95])
def test_stays_a_pyramid_where_kvpress_falls_back_to_uniform(ask: Ask, ratio: int) -> None:
    """4,096 tokens and a window of 64: kvpress's leaderboard."""
    budget = 32 * 8 * (4096 * (100 - ratio) // 100)
    request = ask(budget, n_layers=32, n_heads=8, n_tokens=4096, protection=Protection(0, 64))
    counts, uniform = PyramidKV().allocate(request)[:, 0], Uniform().allocate(request)[:, 0]
    assert PyramidKV().notes(request, counts) == ()
    assert float((counts[0] - 64).double().mean() / (counts[-1] - 64).double().mean()) == pytest.approx(39, rel=0.1)
    assert int((counts - uniform).abs().max()) > 64


def test_a_feasible_line_is_kvpress_s_but_for_its_rounding(ask: Ask) -> None:
    """kvpress's formula at --sink 0 --window 0, each layer rounded by itself: 1,000 tokens, 40% kept, beta 20."""
    request = ask(32 * 2 * 400, n_layers=32, n_heads=2, n_tokens=1000, protection=Protection(0, 0))
    low, high = 400 / 20, 400 * 2 - 400 / 20
    theirs = [round(high - layer * (high - low) / 31) for layer in range(32)]
    for layer, counts in enumerate(PyramidKV().allocate(request)[:, 0].tolist()):
        assert all(abs(count - theirs[layer]) <= 1 for count in counts)


def test_beta_one_is_uniform(ask: Ask) -> None:
    request = ask(6 * 17)
    assert PyramidKV(1).allocate(request).tolist() == Uniform().allocate(request).tolist()


def test_beta_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        PyramidKV(0)
