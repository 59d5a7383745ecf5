"""Scores by configuration and task."""

import pandas as pd
import pytest

from lukv_bench.leaderboard.tables.tasks import facet_table, sample_table, score_table, task_table


@pytest.fixture
def cells() -> pd.DataFrame:
    rows = [
        ("a", "fwe", 1280, "complete", 50.0, "lukv"),
        ("a", "qa", None, "complete", 70.0, "lukv"),
        ("b", "fwe", 1280, "complete", 90.0, "adakv"),
        ("b", "qa", None, "partial", None, "adakv"),
        ("f", "fwe", 1280, "complete", 100.0, "full"),
        ("f", "qa", None, "complete", 80.0, "full"),
    ]
    frame = pd.DataFrame(rows, columns=["configuration", "task", "length", "status", "score", "allocator"])
    frame = frame.assign(length=frame["length"].astype("Int64"), kv_bytes_kept=1.0, kv_bytes_full=4.0)
    frame = frame.assign(interval_low=0.0, interval_high=100.0, n=12, samples_asked=12, is_oracle=False)
    return frame.assign(cell=[f"{row[0]}-{row[1]}" for row in rows])


@pytest.fixture
def about() -> pd.DataFrame:
    return pd.DataFrame({"name": ["A", "B", "full"]}, index=["a", "b", "f"])


def test_who_lacks_a_task_comes_last_and_shows_a_gap(cells: pd.DataFrame) -> None:
    table = score_table(cells)
    assert list(table.columns) == ["fwe 1280", "qa"]
    assert list(table.index) == ["f", "a", "b"]
    assert pd.isna(table.at["b", "qa"])


def test_a_task_is_told_with_its_loss_and_without_scores_of_the_incomplete(
    cells: pd.DataFrame, about: pd.DataFrame
) -> None:
    table = task_table(cells[cells["task"] == "qa"], about)
    assert list(table["name"]) == ["full", "A", "B"]
    assert list(table["loss_percent"][:2]) == [0.0, 12.5]
    assert pd.isna(table["loss_percent"].iloc[2])


def test_a_column_is_the_same_sample_for_all(cells: pd.DataFrame, about: pd.DataFrame) -> None:
    scores = pd.DataFrame(
        {
            "cell": ["a-fwe", "f-fwe", "f-fwe"],
            "sample": ["s1", "s0", "s1"],
            "ordinal": [1, 0, 1],
            "score": [0.0, 100.0, 50.0],
        }
    )
    table = sample_table(scores, cells[cells["task"] == "fwe"], about)
    assert list(table.index) == ["A", "full"]
    assert table.loc["full"].tolist() == [100.0, 50.0]
    assert pd.isna(table.at["A", 0])


def test_a_facet_s_column_is_the_mean_over_its_samples(cells: pd.DataFrame, about: pd.DataFrame) -> None:
    rows = [("a-fwe", "s0", 0.0), ("a-fwe", "s1", 100.0), ("a-fwe", "s2", 50.0), ("f-fwe", "s0", 100.0)]
    scores = pd.DataFrame(rows, columns=["cell", "sample", "score"])
    own = cells[cells["task"] == "fwe"].iloc[::-1]
    table = facet_table(scores, own, about, {"s0": "list", "s1": "list", "s3": "count"})
    assert list(table.index) == ["full", "A"]
    assert table["list"].tolist() == [100.0, 50.0]
    assert list(table.columns) == ["list"], "s2 has no kind, and s3 no score"
