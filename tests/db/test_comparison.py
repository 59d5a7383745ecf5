"""Intervals and paired differences over a whole database, against one cell and one pair at a time."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from sqlalchemy import delete, update

from lukv_bench.db import portions
from lukv_bench.db.comparison import compare
from lukv_bench.db.results import read_results
from lukv_bench.db.schema import Answer, Cell
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows

CELLS = ("a", "b", "c")
Z = stats.norm.ppf(0.975)


def equivalent_n(scores: list[float]) -> float:
    """How many right and wrong answers vary like these scores, no fewer than they are."""
    n, p, variance = len(scores), np.mean(scores), 1e4 * np.var(scores, ddof=1) / len(scores) if len(scores) > 1 else 0
    if set(scores) <= {0.0, 1.0} or variance < 1e-12:
        return n
    return max(n, 1e4 * p * (1 - p) / variance * (Z / stats.t.ppf(0.975, n - 1)) ** 2)


def answer(store: Store, rows: "Rows", scores: dict[str, dict[int, float]]) -> list[dict[str, Any]]:
    """Cells whose answers have these scores by ordinal, each complete; their rows."""
    store.put(rows.model, *rows.samples(6))
    run = store.start_run(["run"], rows.environment)
    for cell, given_scores in scores.items():
        store.put(rows.configuration(cell), rows.cell(cell, of=cell, samples=len(given_scores)))
        for ordinal, score in given_scores.items():
            store.put_answer(rows.answer(run, ordinal, cell, score=score, timing=None, keep_counts=None))
    found = read_results(store)
    for row in found:
        row["status"] = "complete"
    return found


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries({cell: st.dictionaries(st.integers(0, 5), st.floats(0, 1), min_size=1) for cell in CELLS}),
    st.dictionaries(st.sampled_from(CELLS), st.sampled_from(CELLS)),
    st.booleans(),
)
def test_all_at_once_are_those_of_each_pair(
    store: Store, rows: "Rows", scores: dict[str, dict[int, float]], rivals: dict[str, str], many: bool
) -> None:
    with store.writing() as connection:
        connection.execute(delete(Answer))
        connection.execute(delete(Cell))
    found = answer(store, rows, scores)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portions, "AT_ONCE", 1 if many else 1000)
        compare(store, found, rivals)
    for row in found:
        mine, theirs = scores[row["cell"]], scores[rivals.get(row["cell"], row["cell"])]
        n, p = equivalent_n(list(mine.values())), float(np.mean(list(mine.values())))
        centre, half = (p + Z**2 / (2 * n)) / (1 + Z**2 / n), (p * (1 - p) / n + Z**2 / (4 * n * n)) ** 0.5
        half *= Z / (1 + Z**2 / n)
        assert row["interval"] == pytest.approx([100 * max(0, centre - half), 100 * min(1, centre + half)], abs=1e-9)
        shared = sorted(mine.keys() & theirs.keys())
        if row["cell"] not in rivals or not shared:
            assert (row["gain"], row["against"]) == (None, None)
            continue
        differences = np.array([100 * (mine[i] - theirs[i]) for i in shared])
        size = np.sqrt(np.mean(differences[differences != 0] ** 2)) if differences.any() else 100.0
        adjusted = np.append(differences, (size, -size))
        reach = Z * adjusted.std() / len(adjusted) ** 0.5
        expected = [differences.mean(), max(-100, adjusted.mean() - reach), min(100, adjusted.mean() + reach)]
        assert row["gain"] == pytest.approx(expected, abs=1e-9)
        assert row["against"] == rivals[row["cell"]]


def test_a_score_without_scores_of_its_answers_has_no_interval(store: Store, rows: "Rows") -> None:
    """As an early version left it, when lm-eval scored a task as a whole."""
    run = rows.put_all(store, samples=1)
    store.put_answer(rows.answer(run))
    with store.writing() as connection:
        connection.execute(update(Answer).values(score=None))
        connection.execute(update(Cell).values(score=40.0))
    (row,) = read_results(store)
    compare(store, [row], {})
    assert (row["score"], row["interval"], row["gain"]) == (40.0, None, None)


def test_incomplete_rows_have_neither(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store, samples=2)
    store.put_answer(rows.answer(run))
    (row,) = read_results(store)
    compare(store, [row], {"cell": "cell"})
    assert (row["status"], row["interval"], row["gain"], row["against"]) == ("partial", None, None, None)
