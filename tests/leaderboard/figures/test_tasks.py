"""Heat maps of scores."""

import pandas as pd
from plotly.colors import sample_colorscale

from lukv_bench.leaderboard.figures.tasks import score_map
from lukv_bench.leaderboard.theme import SCALE, luminance


def test_rows_of_the_same_name_are_not_drawn_over_each_other() -> None:
    figure = score_map(pd.DataFrame([[1.0], [2.0]], index=["same", "same"], columns=["fwe"]), "task")
    assert list(figure.data[0].y) == ["same", "same (2)"]


def test_a_missing_score_is_a_gap() -> None:
    figure = score_map(pd.DataFrame([[1.0, None]], index=["a"], columns=["fwe", "qa"]), "task")
    assert figure.data[0].z[0][1] != figure.data[0].z[0][1]


def test_colours_mean_the_same_on_every_map() -> None:
    figure = score_map(pd.DataFrame([[40.0, 41.0]], index=["a"], columns=["fwe", "qa"]), "task")
    assert (figure.data[0].zmin, figure.data[0].zmax) == (0, 100)


def test_numbers_are_left_out_where_they_do_not_fit() -> None:
    wide = score_map(pd.DataFrame([[1.0] * 50], index=["a"]), "sample")
    assert len(wide.data) == 1


def test_numbers_are_read_on_every_colour_of_the_map() -> None:
    scores = pd.DataFrame([[float(value) for value in range(start, start + 5)] for start in range(0, 100, 5)])
    written = {
        int(number): traces.textfont.color
        for traces in score_map(scores, "task", clickable=True).data
        for number in traces.text or ()
    }
    assert sorted(written) == [*range(100)]
    behind = sample_colorscale(SCALE, [value / 100 for value in range(100)])
    for value, colour in enumerate(behind):
        ink = "rgb(0, 0, 0)" if written[value] == "#000000" else "rgb(255, 255, 255)"
        dark, light = sorted((luminance(ink), luminance(colour)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_a_field_that_has_a_score_tells_its_row_and_column_to_a_click() -> None:
    scores = pd.DataFrame([[1.0, None, 2.0], [3.0, 4.0, None]], index=["a", "b"], columns=["fwe", "qa", "vt"])
    marks = score_map(scores, "task", clickable=True).data[-1]
    assert [list(each) for each in marks.customdata] == [[0, 0, 1.0], [0, 2, 2.0], [1, 0, 3.0], [1, 1, 4.0]]
    assert list(zip(marks.y, marks.x, strict=True)) == [("a", "fwe"), ("a", "vt"), ("b", "fwe"), ("b", "qa")]


def test_the_budget_stands_below_its_method() -> None:
    figure = score_map(pd.DataFrame([[1.0]], index=["lukv x keydiff, prune 0.8, sink 4"], columns=["fwe"]), "task")
    assert list(figure.data[0].y) == ["lukv x keydiff<br>prune 0.8, sink 4"]
