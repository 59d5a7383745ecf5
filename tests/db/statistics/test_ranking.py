"""Ranks: shared by configurations that tie, not by those that differ; the incomplete apart."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from lukv_bench.db.statistics.ranking import RANKED_COLUMNS, parted, rank
from lukv_bench.db.statistics.table import ScoreTable

if TYPE_CHECKING:
    from .conftest import MakeFrames

RIGHT, WRONG = 100.0, 0.0


def table(scores: np.ndarray, task: list[int] | None = None, document: list[int] | None = None) -> ScoreTable:
    n = scores.shape[1]
    numbers = [np.array(values) for values in (task or [0] * n, document or range(n))]
    return ScoreTable([str(i) for i in range(len(scores))], scores.astype(float), *numbers)


def ranks(frame: pd.DataFrame) -> dict[str, int]:
    return dict(zip(frame["configuration"], frame["rank"], strict=True))


def test_the_same_answers_share_a_rank_and_different_ones_do_not(frames: "MakeFrames") -> None:
    """Ten that answer all and ten that answer nothing, of three tasks with twelve samples."""
    good, bad = {t: [RIGHT] * 12 for t in "abc"}, {t: [WRONG] * 12 for t in "abc"}
    ranked, incomplete = rank(
        *frames({f"{kind}{i}": tasks for i in range(10) for kind, tasks in (("good", good), ("bad", bad))})
    )
    assert ranks(ranked) == {f"good{i}": 1 for i in range(10)} | {f"bad{i}": 11 for i in range(10)}
    assert list(ranked.columns) == list(RANKED_COLUMNS)
    assert incomplete.empty
    best = ranked.iloc[0]
    assert (best["best_place"], best["worst_place"], best["score"]) == (1, 10, 100.0)
    assert (ranked.iloc[-1]["best_place"], ranked.iloc[-1]["worst_place"]) == (11, 20)


def test_a_difference_of_chance_is_no_difference(frames: "MakeFrames") -> None:
    """9 and 7 of 12 right: two answers won, none lost."""
    one, other = [RIGHT] * 9 + [WRONG] * 3, [RIGHT] * 7 + [WRONG] * 5
    ranked, _ = rank(*frames({"other": {"t": other}, "one": {"t": one}}))
    assert ranked["configuration"].tolist() == ["one", "other"]
    assert ranked["rank"].tolist() == [1, 1]


@pytest.mark.parametrize("grades", [1, 3, 7, 1000])
def test_a_steady_difference_parts_a_hundred_configurations(grades: int) -> None:
    """Half of 100 configurations lose what the others get on 30 of 36 samples: 4,950 pairs, right/wrong and graded."""
    rng = np.random.default_rng(3)
    scores = np.full((100, 36), 100 * (grades // 2 + 1) / grades)
    scores[50:, :30] -= 100 / grades * rng.integers(1, grades // 2 + 2, (50, 30))
    is_better = parted(table(scores))
    assert is_better[:50, 50:].all()
    assert not is_better[50:].any()


def test_one_missing_sample_of_one_task_is_incomplete_everywhere(frames: "MakeFrames") -> None:
    scores = {name: {"a": [RIGHT, WRONG], "b": [RIGHT, RIGHT]} for name in ("x", "y")}
    scores["z"] = {"a": [RIGHT, RIGHT], "b": [RIGHT, None]}
    ranked, incomplete = rank(*frames(scores))
    assert ranked["configuration"].tolist() == ["x", "y"]
    assert incomplete.to_dict("records") == [
        {"configuration": "z", "n_complete": 1, "n_tasks": 2, "missing": ["b 1024: 1 of 2 samples"]}
    ]


def test_fewer_samples_than_others_answered_are_incomplete(frames: "MakeFrames") -> None:
    """Complete for itself: less was asked of it. And one that was never run on a task."""
    ranked, incomplete = rank(
        *frames({"x": {"a": [WRONG] * 3, "b": [WRONG]}, "y": {"a": [RIGHT] * 2, "b": [RIGHT]}, "z": {"a": [RIGHT] * 3}})
    )
    assert ranked["configuration"].tolist() == ["x"]
    missing = dict(zip(incomplete["configuration"], incomplete["missing"], strict=True))
    assert missing == {"y": ["a 1024: 2 of 3 samples"], "z": ["b 1024: 0 of 1 samples"]}


def test_samples_of_an_unfinished_cell_ask_nothing_of_others(frames: "MakeFrames") -> None:
    ranked, incomplete = rank(*frames({"x": {"a": [RIGHT] * 2}, "more": {"a": [RIGHT, RIGHT, RIGHT, None]}}))
    assert ranked["configuration"].tolist() == ["x"]
    assert incomplete["missing"].tolist() == [["a 1024: 2 of 2 samples"]]


def test_nothing_is_ranked_where_nothing_is_complete(frames: "MakeFrames") -> None:
    ranked, incomplete = rank(*frames({"x": {"a": [RIGHT, None]}}))
    assert ranked.empty
    assert list(ranked.columns) == list(RANKED_COLUMNS)
    assert incomplete["missing"].tolist() == [["a 1024: no configuration is complete"]]
    cells, scores = frames({"x": {"a": [RIGHT]}})
    ranked, incomplete = rank(cells[:0], scores[:0])
    assert ranked.empty
    assert incomplete.empty


def test_tasks_weigh_the_same_whatever_their_samples(frames: "MakeFrames") -> None:
    ranked, _ = rank(*frames({"x": {"a": [RIGHT] * 10, "b": [WRONG]}}))
    assert ranked["score"].tolist() == [50.0]
    assert ranked[["n_tasks", "n_samples", "n_documents"]].values.tolist() == [[2, 11, 11]]


def test_questions_about_one_document_are_one_draw() -> None:
    """Thirty differences part two configurations among twenty; those of two documents with fifteen each do not."""
    scores = np.zeros((20, 30))
    scores[0] = 100
    assert parted(table(scores))[0, 1:].all()
    assert not parted(table(scores, document=[0] * 15 + [1] * 15)).any()


def test_ties_share_a_rank_in_nineteen_boards_of_twenty() -> None:
    """Eight equally good configurations: no false difference between any two in at least 95% of 400 boards."""
    rng = np.random.default_rng(11)
    for grades in (1, 3, 50):
        boards = 100 * rng.binomial(grades, rng.uniform(0.2, 0.8, (400, 1, 36)), (400, 8, 36)) / grades
        assert np.mean([parted(table(scores), 0.95).any() for scores in boards]) <= 0.05


def test_holm_is_statsmodels() -> None:
    from lukv_bench.db.statistics.families import holm

    p_values = np.random.default_rng(5).beta(0.2, 3, 200)
    rejected, adjusted = holm(p_values)
    expected, corrected, *_ = multipletests(p_values, alpha=0.05, method="holm")
    np.testing.assert_array_equal(rejected, expected)
    np.testing.assert_allclose(adjusted, corrected)
    assert 5 < rejected.sum() < 200
    assert holm(p_values[:0])[0].shape == (0,)
