import math
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from lm_eval.api.metrics import mean, mean_stderr

from lukv_bench.db.cell_scores import mean_score
from lukv_bench.db.queries import results_frame
from lukv_bench.db.records import AnswerRecord
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows


def _status(store: Store) -> tuple[str, float | None]:
    row = results_frame(store).iloc[0]
    return row["status"], None if math.isnan(row["score"]) else row["score"]


def test_a_cell_has_its_score_with_the_last_answer_asked_for(any_store: Store, rows: "Rows") -> None:
    run = rows.put_all(any_store, samples=2)
    assert _status(any_store) == ("partial", None)
    any_store.put_answer(rows.answer(run, 0, score=0.25))
    any_store.put_answer(rows.answer(run, 5))  # not one of those asked for
    assert _status(any_store) == ("partial", None)
    any_store.put_answer(rows.answer(run, 1, score=0.75))
    assert _status(any_store) == ("complete", 50.0)


def test_a_text_that_is_scored_later_completes_its_cell(any_store: Store, rows: "Rows") -> None:
    run = rows.put_all(any_store, samples=2)
    any_store.put_answer(rows.answer(run, 0))
    any_store.put_answer(rows.answer(run, 1, status="failed", error="metric broke", score=None))
    assert _status(any_store) == ("partial", None)
    any_store.put_score("cell", "s1", run, 0.5)
    assert _status(any_store) == ("complete", 75.0)


def test_an_answer_given_again_changes_the_score(any_store: Store, rows: "Rows") -> None:
    any_store.put_answer(rows.answer(rows.put_all(any_store, samples=1)))
    assert _status(any_store) == ("complete", 100.0)
    redo = any_store.start_run(["run", "--redo"], rows.environment)
    any_store.put_answer(rows.answer(redo, score=0.5), redo=True)
    assert _status(any_store) == ("complete", 50.0)


def test_asking_for_more_makes_a_cell_partial_until_all_is_there(any_store: Store, rows: "Rows") -> None:
    run = rows.put_all(any_store, samples=1)
    any_store.put_answer(rows.answer(run, 0))
    any_store.put_answer(rows.answer(run, 2))
    any_store.put(rows.cell(samples=1))
    assert _status(any_store) == ("complete", 100.0)
    any_store.put(rows.cell(samples=2))
    assert _status(any_store) == ("partial", None)
    any_store.put_answer(rows.answer(run, 1, score=0.0))
    assert _status(any_store) == ("complete", 50.0)
    any_store.put(rows.cell(samples=3))
    assert _status(any_store)[0] == "complete", "the third answer was there before it was asked for"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_score_and_error_are_those_of_lm_eval(scores: list[float]) -> None:
    score, stderr = mean_score(scores)
    assert score == 100 * mean(scores)
    assert stderr == (100 * mean_stderr(scores) if len(scores) > 1 else None)


def test_failures_show_until_an_answer_is_there(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store, samples=1)
    store.put_answer(AnswerRecord.failure("cell", "s0", run, "broken budget"))
    assert results_frame(store).loc[0, ["status", "error", "n"]].tolist() == ["failed", "broken budget", 0]
    store.fail_cell("cell", "no profile")
    assert results_frame(store).loc[0, ["status", "error", "n"]].tolist() == ["failed", "no profile", 0]
    store.put_answer(rows.answer(run, 0))
    assert _status(store) == ("complete", 100.0)
