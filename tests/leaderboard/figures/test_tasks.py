"""Heat maps of scores."""

import pandas as pd

from lukv_bench.leaderboard.figures.tasks import score_map


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
    assert wide.data[0].texttemplate is None
