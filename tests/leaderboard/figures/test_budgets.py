"""The maps of budgets show the numbers that they are given."""

import numpy as np
import plotly.graph_objects as go
import pytest

from lukv_bench.leaderboard.figures.budget_map import budget_map, difference_map
from lukv_bench.leaderboard.figures.budget_shift import budget_shift
from lukv_bench.leaderboard.figures.profile_curves import head_curves, is_curve, layer_curves

from ..hostile import HOSTILE


def test_a_map_has_the_first_layer_on_top_and_its_scale_ends_where_it_is_told() -> None:
    figure = budget_map(np.array([[10.0, 20.0], [30.0, 40.0]]), most=80)
    (heatmap,) = figure.data
    assert np.array(heatmap.z).tolist() == [[10, 20], [30, 40]]
    assert (heatmap.zmin, heatmap.zmax) == (0, 80)
    assert figure.layout.yaxis.autorange == "reversed"


def test_a_difference_is_of_the_second_less_the_first_on_a_symmetric_scale() -> None:
    (heatmap,) = difference_map(np.array([[10.0, 20.0]]), np.array([[40.0, 15.0]])).data
    assert np.array(heatmap.z).tolist() == [[30, -5]]
    assert (heatmap.zmin, heatmap.zmax) == (-30, 30)


@pytest.mark.parametrize("shape", [(1, 1), (30, 3), (80, 8), (126, 128)])
def test_an_axis_of_any_model_has_sixteen_numbers_at_most(shape: tuple[int, int]) -> None:
    figure = budget_map(np.ones(shape), most=1)
    assert shape[0] / figure.layout.yaxis.dtick <= 16
    assert shape[1] / figure.layout.xaxis.dtick <= 16
    assert figure.layout.height <= 1010


def test_a_shift_shows_each_layer_beside_an_equal_share() -> None:
    even, uneven = np.full((2, 2), 10.0), np.array([[3.0, 3.0], [1.0, 1.0]])
    (heatmap,) = budget_shift({"prune 0.5": even, "prune 0.9": uneven}).data
    assert np.array(heatmap.customdata).tolist() == [[1.0, 1.5], [1.0, 0.5]]
    assert np.array(heatmap.z).tolist() == [[0.0, pytest.approx(np.log2(1.5))], [0.0, -1.0]]


def test_a_layer_that_keeps_nothing_has_the_last_colour() -> None:
    (heatmap,) = budget_shift({"a": np.array([[0.0], [2.0]])}).data
    assert np.array(heatmap.z).tolist() == [[-2.0], [1.0]]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_budget_is_a_label_that_plotly_reads_as_text(name: str) -> None:
    (label,) = budget_shift({HOSTILE[name]: np.ones((1, 1))}).layout.xaxis.ticktext
    assert not {"<", ">", "$", "%", "\n"} & {*label}
    assert len(label) < 500


def test_curves_are_a_line_per_layer_or_head_over_the_pruned_share() -> None:
    curve = np.linspace(1, 0, 99, dtype=np.float32)[:, None, None].repeat(2, axis=1).repeat(3, axis=2)
    curve[:, 1, 2] = 0.5
    first, second, equal = layer_curves(curve).data
    assert (first.x[0], first.x[-1]) == (1, 99)
    assert first.y[0] == 100
    assert second.y[-1] == pytest.approx(100 * 0.5 / 3)
    assert equal.name == "equal share"
    assert [line.name for line in head_curves(curve, 1).data] == ["head 0", "head 1", "head 2", "equal share"]


def test_many_layers_have_a_colour_bar_in_place_of_names() -> None:
    figure = layer_curves(np.ones((5, 40, 2), dtype=np.float32))
    assert not any(line.showlegend for line in figure.data[:40])
    assert figure.data[-1].marker.cmax == 39
    assert isinstance(figure, go.Figure)


@pytest.mark.parametrize(
    "array",
    [
        np.ones((3, 2), dtype=np.float32),
        np.full((3, 2, 2), np.nan, dtype=np.float32),
        np.full((3, 2, 2), 1e30, dtype=np.float32),
        np.ones((0, 2, 2), dtype=np.float32),
    ],
    ids=["two axes", "not a number", "no share", "empty"],
)
def test_an_array_that_is_no_curve_is_not_drawn(array: np.ndarray) -> None:
    assert not is_curve(array)
