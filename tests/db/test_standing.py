from typing import TYPE_CHECKING

import pytest

from lukv_bench.db.queries import results_frame
from lukv_bench.db.records import AnswerRecord
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows


@pytest.mark.parametrize(
    ("done", "failed", "error", "expected"),
    [
        ((), (), None, "partial"),
        ((0, 1), (), None, "partial"),
        ((0, 1, 2), (), None, "complete"),
        ((0, 1), (2,), None, "partial"),
        ((2,), (0, 1), None, "partial"),
        ((), (0,), None, "failed"),
        ((), (0, 1, 2), None, "failed"),
        ((), (), "no profile", "failed"),
        ((0, 1, 2), (), "broke later", "failed"),
    ],
)
def test_a_cell_is_failed_where_nothing_is_answered_or_it_broke_as_a_whole(
    any_store: Store,
    rows: "Rows",
    done: tuple[int, ...],
    failed: tuple[int, ...],
    error: str | None,
    expected: str,
) -> None:
    run = rows.put_all(any_store, samples=3)
    for ordinal in done:
        any_store.put_answer(rows.answer(run, ordinal))
    for ordinal in failed:
        any_store.put_answer(AnswerRecord.failure("cell", f"s{ordinal}", run, "out of memory"))
    if error is not None:
        any_store.fail_cell("cell", error)
    row = results_frame(any_store).iloc[0]
    assert (row["status"], row["n"], row["n_failed"]) == (expected, len(done), len(failed))
    assert row["error"] == (error or ("out of memory" if failed else None))
