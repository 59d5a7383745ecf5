"""What the filters offer, and what they leave."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.leaderboard.filters import newest_questions, options_of, rows_left, with_values


def test_numbers_within_texts_are_sorted_as_numbers() -> None:
    budgets = pd.Series(["prune 0.9", "keep 256", "-", "keep 64", "prune 0.25", None])
    assert options_of(budgets) == [None, "-", "keep 64", "keep 256", "prune 0.25", "prune 0.9"]


@given(st.lists(st.sampled_from(["a", "b", None]), min_size=1), st.sets(st.sampled_from(["a", "b", None]), min_size=1))
def test_a_filter_leaves_exactly_what_was_chosen(values: list[str | None], chosen: set[str | None]) -> None:
    cells = pd.DataFrame({"scorer": pd.Series(values, dtype="object")})
    left = with_values(cells, "scorer", list(chosen))["scorer"]
    assert [None if pd.isna(value) else value for value in left] == [value for value in values if value in chosen]


def test_only_one_version_of_a_task_is_compared() -> None:
    cells = pd.DataFrame(
        {
            "task": ["fwe", "fwe", "fwe", "niah"],
            "length": pd.array([1280, 1280, 1280, None], dtype="Int64"),
            "task_version": ["1", "2", "2", "1"],
            "data_revision": ["", "", "", ""],
        }
    )
    assert list(newest_questions(cells).index) == [1, 2, 3]


def test_the_filters_say_how_many_rows_they_left() -> None:
    assert rows_left(12, 1200) == "12 of 1,200 results left by the filters."
    assert rows_left(1200, 1200) == "All 1,200 results."
