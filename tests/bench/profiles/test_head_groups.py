"""Groups of heads hold what Tangram's loader demands of a cluster map, and fit as its own grouping does."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lukv_bench import UserError
from lukv_bench.bench.profiles.head_groups import HeadGroups, group_heads


@st.composite
def shares(draw: st.DrawFn) -> tuple[np.ndarray, int, bool]:
    """Kept shares [L, H] with ties, a group's size, and whether groups are of one layer."""
    size, per_layer = draw(st.integers(1, 4)), draw(st.booleans())
    n_layers, n_heads = draw(st.integers(1, 5)), size * draw(st.integers(1, 3))
    drawn = draw(st.lists(st.integers(0, 6), min_size=n_layers * n_heads, max_size=n_layers * n_heads))
    return np.array(drawn).reshape(n_layers, n_heads) / 6, size, per_layer


@settings(max_examples=60, deadline=None)
@given(shares())
def test_every_head_has_one_column_and_every_group_is_full(drawn: tuple[np.ndarray, int, bool]) -> None:
    kept, size, per_layer = drawn
    groups = group_heads(kept, size, "layer" if per_layer else "model")
    assert groups.members.shape == (kept.size // size, size, 2)
    for number, members in enumerate(groups.members.tolist()):
        assert members == sorted(members)  # the heads of a layer are side by side
        for column, (layer, head) in enumerate(members):
            assert (groups.group[layer, head], groups.column[layer, head]) == (number, column)
        if per_layer:
            assert {layer for layer, _ in members} == {number // (kept.shape[1] // size)}
    assert len({tuple(place) for members in groups.members.tolist() for place in members}) == kept.size


@settings(max_examples=60, deadline=None)
@given(shares())
def test_no_head_of_a_later_group_keeps_more(drawn: tuple[np.ndarray, int, bool]) -> None:
    kept, size, per_layer = drawn
    groups = group_heads(kept, size, "layer" if per_layer else "model")
    layers = [[number // (kept.shape[1] // size)] if per_layer else [0] for number in range(len(groups.members))]
    of_group = [kept[members[:, 0], members[:, 1]] for members in groups.members]
    for number, (before, after) in enumerate(pairwise(of_group)):
        assert layers[number] != layers[number + 1] or before.min() >= after.max()


def test_the_room_that_stays_empty() -> None:
    kept = np.array([[0.5, 0.1], [0.4, 0.2]])
    alike = group_heads(kept, 2, "model")  # (0.5, 0.4) and (0.2, 0.1): room for 1.4, 1.2 are kept
    assert alike.waste(kept) == pytest.approx(1 - 1.2 / 1.4)
    neighbours = HeadGroups(alike.group, alike.column, np.array([[[0, 0], [0, 1]], [[1, 0], [1, 1]]], np.int32))
    assert neighbours.waste(kept) == pytest.approx(1 - 1.2 / 1.8)


@pytest.mark.parametrize(
    ("size", "scope", "words"), [(3, "model", "2 x 4 heads"), (8, "layer", "4 KV heads of a layer")]
)
def test_groups_that_do_not_come_out_even_are_refused(size: int, scope: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        group_heads(np.zeros((2, 4)), size, "layer" if scope == "layer" else "model")
