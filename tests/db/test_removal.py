"""Deleting a cell: it goes with all that hangs on it, and nothing else does."""

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from lukv_bench import UserError
from lukv_bench.db.removal import delete_cell
from lukv_bench.db.results import read_results
from lukv_bench.db.schema import Allocation, Answer, AnswerAllocation, Claim, Configuration, Timing
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows

CELLS = ("ab12" + "0" * 60, "ab34" + "0" * 60)


@pytest.fixture
def run(any_store: Store, rows: "Rows") -> str:
    """Two cells of one configuration with an answer each, of a run that goes on."""
    any_store.put(rows.model, rows.configuration(), *rows.samples(2))
    any_store.put(*(rows.cell(cell, task=task) for cell, task in zip(CELLS, ("niah", "other"), strict=True)))
    run = any_store.start_run(["run"], rows.environment)
    for cell in CELLS:
        any_store.put_answer(rows.answer(run, cell=cell))
    return run


def count(store: Store, table: type) -> int:
    with store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def test_a_cell_goes_with_its_answers_and_its_configuration_with_the_last(any_store: Store, run: str) -> None:
    assert delete_cell(any_store, "ab1") == (CELLS[0], "niah", 1)
    assert [row["cell"] for row in read_results(any_store)] == [CELLS[1]]
    assert [count(any_store, table) for table in (Answer, Timing, AnswerAllocation, Allocation, Configuration)] == [
        1,
        1,
        1,
        1,
        1,
    ]
    delete_cell(any_store, CELLS[1])
    assert [count(any_store, table) for table in (Answer, Timing, AnswerAllocation, Allocation, Configuration)] == [
        0,
        0,
        0,
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("prefix", "sentence"),
    [("ab", "several cells .ab1200000000, ab3400000000.; type more"), ("c", "no cell's id begins"), ("", "no cell")],
)
def test_what_is_not_one_cell_is_refused(any_store: Store, run: str, prefix: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        delete_cell(any_store, prefix)
    assert len(read_results(any_store)) == 2


def test_a_cell_that_a_run_is_at_work_on_stays_until_the_run_has_ended(any_store: Store, run: str) -> None:
    any_store.claim(run, "s1", [CELLS[0]])
    with pytest.raises(UserError, match="a run is at work on cell ab12"):
        delete_cell(any_store, "ab12")
    delete_cell(any_store, "ab34")
    any_store.finish_run(run, 0)
    delete_cell(any_store, "ab12")
    assert (len(read_results(any_store)), count(any_store, Claim)) == (0, 0)
