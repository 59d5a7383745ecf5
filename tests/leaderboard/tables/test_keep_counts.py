"""How evenly heads share a budget."""

import numpy as np
import pytest

from lukv_bench.db.frames.mean_counts import MeanCounts
from lukv_bench.leaderboard.tables.keep_counts import gini, head_by_head, summarise


def test_unevenness_is_half_the_mean_difference_of_two_heads_over_their_mean() -> None:
    counts = np.random.default_rng(0).integers(0, 100, (4, 3)).astype(float)
    flat = counts.ravel()
    assert gini(counts) == pytest.approx(np.abs(flat[:, None] - flat).mean() / (2 * flat.mean()))
    assert gini(np.full((2, 3), 7.0)) == pytest.approx(0)
    assert gini(np.zeros((2, 3))) == 0


def test_a_summary_counts_the_heads_that_keep_everything() -> None:
    summary = summarise({"A": MeanCounts(np.array([[100.0, 20.0], [60.0, 20.0]]), tokens=100, n_answers=7)})
    (row,) = summary.to_dict("records")
    assert (row["kept_per_head"], row["kept_share"], row["least"], row["most"]) == (50, 50, 20, 100)
    assert (row["n_whole_heads"], row["n_answers"]) == (1, 7)


def test_the_table_of_heads_has_a_row_for_each() -> None:
    frame = head_by_head(np.array([[1.0, 2.0]]), np.array([[4.0, 1.0]]))
    assert frame.to_dict("list") == {
        "layer": [0, 0],
        "head": [0, 1],
        "kept_a": [1, 2],
        "kept_b": [4, 1],
        "difference": [3, -1],
    }
