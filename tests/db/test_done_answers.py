"""What a run that goes on leaves out: the ordinals that some cells have done answers to."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import event, insert, select

from lukv_bench.db.clock import moment
from lukv_bench.db.schema import Answer, Cell, Sample
from lukv_bench.db.store import Store

from .conftest import Rows

N_CELLS, N_SAMPLES = 50, 12
FEW = 2
"""Of so many cells the failed answers are sought, of all they are read in one pass."""


def fill(store: Store, rows: Rows) -> None:
    """Cells whose answers are done, failed or missing; some answer two samples of an ordinal, as those do that met one
    that could not be made."""
    run = rows.put_all(store)
    chance = random.Random(0)
    samples = [
        {"id": f"{place}{ordinal}", "ordinal": ordinal, "task": "t", "task_version": "1", "length": None}
        for place in ("first", "second")
        for ordinal in range(N_SAMPLES)
    ]
    with store.writing() as connection:
        more = {"configuration_id": rows.configuration().id, "task": "t", "task_version": "1", "samples_asked": 9}
        connection.execute(insert(Cell), [{"id": f"c{number}", **more} for number in range(N_CELLS)])
        connection.execute(insert(Sample), [one | {"prompt_hash": "", "generation_hash": ""} for one in samples])
        now = moment(connection)
        for number in range(N_CELLS - 1):  # the last cell has no answer
            for sample in samples:
                if chance.random() < (0.6 if sample["id"].startswith("first") else 0.2):
                    failed = {"status": "failed", "text": None, "error": "broke"}
                    outcome = failed if chance.random() < 0.3 else {"status": "done", "text": "a", "error": None}
                    answer = {"cell_id": f"c{number}", "sample_id": sample["id"], "run_id": run, "events": []}
                    connection.execute(insert(Answer).values(**answer, **outcome, created_at=now))


def by_hand(store: Store, cells: Sequence[str]) -> dict[str, set[int]]:
    done: dict[str, set[int]] = {}
    query = select(Answer.cell_id, Answer.status, Sample.ordinal).join(Sample, Sample.id == Answer.sample_id)
    with store.reading() as connection:
        for cell, status, ordinal in connection.execute(query):
            if status == "done" and cell in cells:
                done.setdefault(cell, set()).add(ordinal)
    return done


@pytest.mark.parametrize("n_cells", [0, 1, FEW, N_CELLS])
def test_they_are_those_of_a_reading_answer_by_answer(any_store: Store, rows: Rows, n_cells: int) -> None:
    fill(any_store, rows)
    cells = ["unknown", *(f"c{number}" for number in range(N_CELLS))][: n_cells + 1]
    expected = by_hand(any_store, cells)
    assert any_store.done_ordinals(cells) == expected
    assert len(expected) == min(n_cells, N_CELLS - 1)


@pytest.mark.parametrize("n_cells", [FEW, N_CELLS])
def test_no_row_of_the_answers_of_many_cells_is_sought(store: Store, rows: Rows, n_cells: int) -> None:
    """Each would be another page of a large file."""
    fill(store, rows)
    executed: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        executed.append((statement, parameters))

    event.listen(store._engine, "before_cursor_execute", note)
    store.done_ordinals([f"c{number}" for number in range(n_cells)])
    event.remove(store._engine, "before_cursor_execute", note)
    plans = []
    with store.reading() as connection:
        for statement, parameters in executed:
            if "FROM answer" in statement:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plans += [row[-1] for row in plan if " answer" in row[-1]]
    sought = [line for line in plans if line.startswith("SEARCH") and "COVERING" not in line]
    assert len(plans) == 2
    assert len(sought) == (n_cells == FEW)  # the failed ones of a few
