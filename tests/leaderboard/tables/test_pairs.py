"""Differences of two configurations, from frames."""

import numpy as np
import pandas as pd
import pytest

from lukv_bench.db.statistics.paired import compare_pair
from lukv_bench.leaderboard.figures.differences import difference_figure
from lukv_bench.leaderboard.tables.pairs import difference_table, flip_table, incomplete_tasks, shared_scores

from ..hostile import HOSTILE

CELLS = pd.DataFrame(
    [
        {"configuration": each, "cell": f"{each}{task}{length}", "task": task, "length": length, "status": "complete"}
        for each in "ab"
        for task, length in (("fwe", 1024), ("niah", None))
    ]
).astype({"length": "Int64"})
CELLS["n"] = [4, 5, 4, 5]


def scores(cell: str, values: list[float], samples: str) -> pd.DataFrame:
    return pd.DataFrame({"cell": cell, "sample": [*samples], "ordinal": range(len(values)), "score": values})


SCORES = pd.concat(
    [
        scores("afwe1024", [100, 100, 0, 0], "pqrs"),
        scores("bfwe1024", [100, 0, 100, 100], "pqrs"),
        scores("aniahNone", [0, 0, 0, 0, 100], "tuvwx"),
        scores("bniahNone", [100, 100, 100, 0], "tuvw"),
    ]
)


def shared() -> pd.DataFrame:
    cells = CELLS.assign(
        cell=[
            f"{each}{task}{None if pd.isna(length) else length}"
            for each, _, task, length, *_ in CELLS.itertuples(index=False)
        ]
    )
    return shared_scores(cells, SCORES, "a", "b")


def test_only_samples_that_both_answered_are_compared() -> None:
    assert [*shared()["sample"]] == [*"pqrstuvw"]


def test_a_row_per_task_and_one_over_all_in_which_tasks_weigh_the_same() -> None:
    table = difference_table(shared())
    assert list(table["task"]) == ["fwe", "niah", "all tasks"]
    assert list(table["difference"]) == [25, 75, 50]
    assert list(table["score_a"]) == [50, 0, 25]
    assert list(table["score_b"]) == [75, 75, 75]
    assert list(zip(table["won"], table["lost"], table["tied"], strict=True)) == [(2, 1, 1), (3, 0, 1), (5, 1, 2)]
    expected = compare_pair(
        np.array([100.0, 0, 100, 100]), np.array([100.0, 100, 0, 0]), np.zeros(4, int), np.arange(4)
    )
    assert table.loc[0, ["low", "high", "p_value"]].tolist() == [expected.low, expected.high, expected.p_value]
    assert list(table["p_holm"][:2]) == pytest.approx([min(1, table["p_value"][0]), 2 * table["p_value"][1]])


def test_the_mean_over_all_tasks_leaves_an_incomplete_one_out() -> None:
    assert list(difference_table(shared(), [("niah", None)])["task"]) == ["fwe", "niah"]


def test_a_task_that_one_side_lacks_or_has_not_finished_is_incomplete() -> None:
    partial = CELLS.assign(status=["complete", "complete", "partial", "complete"])
    assert incomplete_tasks(partial, "a", "b") == [("fwe", 1024)]
    assert incomplete_tasks(CELLS.iloc[:3], "a", "b") == [("niah", None)]
    assert incomplete_tasks(CELLS.assign(n=[4, 5, 4, 6]), "a", "b") == [("niah", None)]
    assert incomplete_tasks(CELLS, "a", "b") == []
    assert incomplete_tasks(CELLS, "a", "a") == []


def test_flips_are_the_samples_on_which_scores_differ() -> None:
    assert [*flip_table(shared())["sample"]] == [*"qrstuv"]
    assert [*flip_table(shared(), "won by B")["sample"]] == [*"rstuv"]
    assert [*flip_table(shared(), "lost by B")["sample"]] == ["q"]


def test_the_figure_fills_the_marks_of_differences_that_the_test_finds() -> None:
    table = difference_table(shared()).assign(p_holm=[0.8, 0.04, 0.2])
    (marks,) = difference_figure(table).data
    assert list(marks.x) == [25, 75, 50]
    assert list(marks.marker.symbol) == ["circle-open", "circle", "circle-open"]
    assert list(marks.error_x.array) == [*(table["high"] - table["difference"])]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_task_is_a_label_that_plotly_reads_as_text(name: str) -> None:
    table = difference_table(shared())
    table["task"] = pd.Series([HOSTILE[name]] * 3, dtype="object")
    for label in difference_figure(table).layout.yaxis.ticktext:
        assert not {"<", ">", "$", "%", "\n"} & {*label}
