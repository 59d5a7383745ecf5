"""Who is on the frontier."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.leaderboard.tables.tradeoffs import frontier_table, with_frontier

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
    assert list(frontier_table(with_frontier(points, "kept_mib"))["name"]) == ["a", "c"]
