"""Ranks and losses of a view."""

import numpy as np
import pytest

from lukv_bench.db.statistics.table import ScoreTable
from lukv_bench.leaderboard.ranks import LOSSES, _losses


def table(*scores: list[float]) -> ScoreTable:
    n = len(scores[0])
    return ScoreTable(
        [f"c{row}" for row in range(len(scores))], np.array(scores), np.zeros(n, dtype=np.int64), np.arange(n)
    )


def test_a_loss_is_a_share_of_the_full_caches_score() -> None:
    losses = _losses(table([100.0, 100.0, 0.0, 100.0], [100.0, 0.0, 0.0, 100.0]), {"c0"})
    assert losses["loss_percent"].tolist() == pytest.approx([0.0, 100 / 3])
    assert losses.at["c1", "loss_low"] < 100 / 3 < losses.at["c1", "loss_high"]


@pytest.mark.parametrize("full", [set(), {"c0", "c1"}])
def test_without_a_single_full_cache_there_is_no_loss(full: set[str]) -> None:
    losses = _losses(table([100.0, 100.0], [100.0, 0.0]), full)
    assert losses[list(LOSSES)].isna().all(axis=None)


def test_a_full_cache_that_scores_nothing_loses_nothing() -> None:
    assert _losses(table([0.0, 0.0], [100.0, 0.0]), {"c0"}).isna().all(axis=None)
