"""Who is on the frontier."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.db.statistics.intervals import score_intervals
from lukv_bench.db.statistics.table import ScoreTable
from lukv_bench.leaderboard.tables.tradeoffs import (
    area_table,
    common_budgets,
    frontier_table,
    shown_areas,
    with_band,
    with_frontier,
)

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20)


@given(POINTS)
def test_nobody_keeps_less_and_scores_as_much_as_the_frontier(points: list[tuple[int, int]]) -> None:
    frame = with_frontier(pd.DataFrame(points, columns=["kept_mib", "score"]), "kept_mib")
    for (kept, score), on_frontier in zip(points, frame["is_frontier"], strict=True):
        is_beaten = any((k <= kept and s > score) or (k < kept and s >= score) for k, s in points)
        assert on_frontier == (not is_beaten)


def test_the_frontiers_table_begins_with_who_keeps_least() -> None:
    points = pd.DataFrame({"kept_mib": [3.0, 1.0, 2.0], "score": [30.0, 10.0, 5.0], "name": ["c", "a", "b"]})
    points = points.assign(interval_low=0.0, interval_high=99.0, loss_percent=0.0, kept_percent=1.0, configuration="x")
    with_ends = with_frontier(points, "kept_mib").assign(frontier_low=0.0, frontier_high=99.0)
    assert list(frontier_table(with_ends)["name"]) == ["a", "c"]


def test_a_band_is_that_of_the_configurations_shown() -> None:
    """A third configuration, that the filters hid, would be the best."""
    scores = np.array([[100.0] * 6 + [0.0] * 6, [100.0] * 4 + [0.0] * 8, [100.0] * 12])
    table = ScoreTable(["a", "b", "hidden"], scores, np.zeros(12, np.int64), np.arange(12))
    points = pd.DataFrame({"configuration": ["b", "a"], "kept_mib": [2.0, 1.0], "score": [100 / 3, 50.0]})
    banded = with_band(with_frontier(points, "kept_mib"), "kept_mib", table).set_index("configuration")
    assert banded.at["b", "frontier_high"] == banded.at["a", "frontier_high"]  # with b's bytes, a is still the best
    assert banded.at["b", "frontier_low"] <= banded.at["a", "frontier_low"]  # of two, luckier
    assert banded.at["a", "frontier_low"] == pytest.approx(score_intervals(table)[0][0], abs=0.5)
    assert banded.at["a", "frontier_high"] == score_intervals(table)[1][0]


def test_areas_are_over_the_budgets_shown_and_ranks_among_all_methods() -> None:
    right = {"full": 12, "a 0.5": 12, "a 0.8": 10, "a 0.9": 0, "b 0.5": 1, "b 0.8": 0, "b 0.9": 0}
    scores = np.array([[100.0] * n + [0.0] * (12 - n) for n in right.values()])
    table = ScoreTable(list(right), scores, np.zeros(12, np.int64), np.arange(12))
    about = pd.DataFrame(
        {
            "method": [name.split()[0] for name in right],
            "budget": ["-", *(f"prune {name.split()[1]}" for name in [*right][1:])],
            "allocator": [name.split()[0] for name in right],
            "ratio": [0.0, *(float(name.split()[1]) for name in [*right][1:])],
            "keep_tokens": pd.array([pd.NA] * len(right), dtype="Int64"),
            "spec": [{}] * len(right),
            "details": [""] * len(right),
        },
        index=list(right),
    )
    areas, single = area_table(table, about, {"prune 0.5", "prune 0.8"}, {"b"})
    assert single == []
    assert areas[["method", "rank"]].to_numpy().tolist() == [["b", 2]]
    assert areas["area"].tolist() == pytest.approx([100 / 24])
    assert common_budgets(areas) == ["prune 0.5", "prune 0.8"]
    assert "Budgets" not in shown_areas(areas)
    other = pd.concat([areas, areas.assign(budgets=[["prune 0.9", "prune 0.95"]])])
    assert common_budgets(other) == []
    assert shown_areas(other)["Budgets"].tolist() == ["prune 0.5, prune 0.8", "prune 0.9, prune 0.95"]
    assert area_table(table, about, {"prune 0.5"}, {"a", "b"})[1] == ["a", "b"]
