"""Summaries of complete cells: nobody sees a difference, whatever was changed, by whomever."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, delete, func, select, text

from lukv_bench import UserError
from lukv_bench.db.comparison import result_rows
from lukv_bench.db.identity import SUMMARY_TRIGGERS
from lukv_bench.db.queries import scores_frame, to_records
from lukv_bench.db.reader import Reader
from lukv_bench.db.records import AnswerRecord, EvidenceRecord, FidelityRecord, TimingRecord
from lukv_bench.db.schema import CellSummary, Environment, SampleList
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

from .conftest import Rows as MadeRows

if TYPE_CHECKING:
    from .conftest import Rows

CELLS = ("one", "two")


def n_summaries(store: Store) -> int:
    with store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(CellSummary)) or 0


def shown(store: Store) -> list[Any]:
    """All that readers get to see."""
    return [result_rows(store), to_records(scores_frame(store, CELLS))]


@contextmanager
def without_summaries(store: Store) -> Iterator[None]:
    with store.writing() as connection:
        connection.execute(delete(CellSummary))
    yield


def assert_as_without_summaries(store: Store) -> None:
    read = shown(store)
    with without_summaries(store):
        assert shown(store) == read


FIDELITY = FidelityRecord(n_tokens=4, kl_nats=0.5, agreement=0.75, parted_at=2, reference_nll=1.5)
EVIDENCE = (EvidenceRecord(n_tokens=8, kept_share=0.25, outcome="found"), EvidenceRecord(n_tokens=0))


def two_cells(store: Store, rows: "Rows") -> str:
    """Two complete cells of two samples."""
    run = rows.put_all(store)
    for number, cell in enumerate(CELLS):
        store.put(rows.cell(cell, length=number))
        for ordinal in range(2):
            seconds = TimingRecord(ttft_s=1 / (ordinal + 3), tpot_s=0.1)
            measured = {"fidelity": FIDELITY, "evidence": EVIDENCE[ordinal], "kept_hash": f"{cell} {ordinal}"}
            store.put_answer(rows.answer(run, ordinal, cell, score=ordinal / 3, timing=seconds, **measured))
    return run


def test_a_cell_is_summarised_with_its_last_answer(any_store: Store, rows: "Rows") -> None:
    run = rows.put_all(any_store)
    any_store.put_answer(rows.answer(run, 1))
    assert n_summaries(any_store) == 0
    any_store.put_answer(rows.answer(run, 0))
    assert n_summaries(any_store) == 1
    assert_as_without_summaries(any_store)


CHANGES = (
    "UPDATE answer SET score = 0.75 WHERE cell_id = 'one'",
    "UPDATE answer SET status = 'failed', error = 'by hand' WHERE cell_id = 'one' AND sample_id = 's0'",
    "UPDATE answer SET kv_tokens_kept = 7 WHERE cell_id = 'one'",
    "UPDATE answer SET events = '[]'",
    "UPDATE answer SET cell_id = 'two', sample_id = 's5' WHERE cell_id = 'one' AND sample_id = 's1'",
    "DELETE FROM answer WHERE cell_id = 'one' AND sample_id = 's1'",
    "DELETE FROM answer",
    "INSERT INTO answer (id, cell_id, sample_id, run_id, status, error, events, created_at) "
    "SELECT 99, cell_id, 's7', run_id, 'failed', 'by hand', events, created_at FROM answer WHERE id = 1",
    "UPDATE timing SET ttft_s = 9 WHERE answer_id = 1",
    "DELETE FROM timing WHERE answer_id = 2",
    "UPDATE fidelity SET kl_nats = 9 WHERE answer_id = 1",
    "DELETE FROM fidelity WHERE answer_id = 2",
    "UPDATE evidence SET outcome = 'missed' WHERE answer_id = 1",
    "DELETE FROM evidence",
    "UPDATE answer SET kept_hash = NULL WHERE cell_id = 'one'",
    "UPDATE cell SET samples_asked = 1 WHERE id = 'one'",
    "UPDATE cell SET samples_asked = 3",
    "UPDATE cell SET score = 1, stderr = NULL, error = 'by hand' WHERE id = 'one'",
    "UPDATE sample SET ordinal = 4 WHERE id = 's1'",
    "UPDATE environment SET machine = 'another'",
    "UPDATE run SET environment_id = 'f'",
)


def another_environment() -> Environment:
    """That of the changes which move a run to another machine."""
    return Environment(id="f", python="3.11", platform="linux", machine="a server")


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_another_program_leaves_no_summary_untrue(any_store: Store, rows: "Rows", change: str) -> None:
    two_cells(any_store, rows)
    any_store.put(another_environment())
    assert n_summaries(any_store) == 2
    before = shown(any_store)
    with any_store.writing() as connection:
        connection.execute(text(change))
    assert_as_without_summaries(any_store)
    assert shown(any_store) != before


def test_a_measure_that_is_moved_leaves_neither_summary_untrue(any_store: Store, rows: "Rows") -> None:
    two_cells(any_store, rows)
    with any_store.writing() as connection:
        connection.execute(text("DELETE FROM fidelity WHERE answer_id = 3"))
        connection.execute(text("UPDATE fidelity SET answer_id = 3 WHERE answer_id = 1"))
    assert_as_without_summaries(any_store)


def test_summaries_that_are_missing_are_made_by_the_next_run(any_url: URL, rows: "Rows") -> None:
    with Store.open(any_url, create=True) as store:
        two_cells(store, rows)
        read = shown(store)
        with without_summaries(store):
            pass
    with Store.open(any_url, create=False) as store:
        assert (n_summaries(store), shown(store)) == (0, read)
    with Store.open(any_url, create=True) as store:
        assert (n_summaries(store), shown(store)) == (2, read)


TRIGGERS = {
    "sqlite": "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name",
    "postgresql": (
        "SELECT tgname, tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal "
        "ORDER BY tgname"
    ),
}


@pytest.mark.parametrize("lost", ["all", "one"])
def test_a_copy_without_triggers_is_refused_until_a_run_restores_them(any_url: URL, rows: "Rows", lost: str) -> None:
    """Its summaries may be stale: here one is, since an answer was changed in the copy."""
    with Store.open(any_url, create=True) as store:
        two_cells(store, rows)
        with store.writing() as connection:
            whole = connection.exec_driver_sql(TRIGGERS[connection.dialect.name]).all()
            gone = whole if lost == "all" else whole[:1]
            for name, table, _ in gone:
                on = f" ON {table}" if connection.dialect.name == "postgresql" else ""
                connection.exec_driver_sql(f"DROP TRIGGER {name}{on}")
            if lost == "all":
                connection.exec_driver_sql("UPDATE answer SET score = 0.25")
                connection.exec_driver_sql("UPDATE cell SET score = 25")
    for opened in (lambda: Store.open(any_url, create=False), lambda: Reader.open(any_url)):
        with pytest.raises(UserError, match=r"left its triggers out.*the next \"lukv-bench run\" that writes"):
            opened()
    with Store.open(any_url, create=True) as store:
        with store.reading() as connection:
            assert connection.exec_driver_sql(TRIGGERS[connection.dialect.name]).all() == whole
        assert n_summaries(store) == 2
        assert_as_without_summaries(store)
    Store.open(any_url, create=False).close()


def test_the_triggers_are_those_that_a_new_database_has(any_store: Store) -> None:
    with any_store.reading() as connection:
        names = [name for name, *_ in connection.exec_driver_sql(TRIGGERS[connection.dialect.name])]
    assert sorted(names) == sorted((*SUMMARY_TRIGGERS, "cost_alone_on_device"))


def test_a_cell_with_a_value_that_cannot_be_read_gets_none(url: URL, rows: "Rows") -> None:
    with Store.open(url, create=True) as store:
        two_cells(store, rows)
        with store.writing() as connection:
            connection.execute(text("UPDATE answer SET events = '{' WHERE cell_id = 'one'"))
            connection.execute(text("UPDATE timing SET tpot_s = 9e999 WHERE answer_id = 3"))
    with Store.open(url, create=True) as store:
        assert n_summaries(store) == 0
        assert {row["status"] for row in result_rows(store)} >= {"unreadable"}


def test_cells_on_the_same_samples_share_a_list_that_goes_with_the_last(url: URL, rows: "Rows") -> None:
    from lukv_bench.db.removal import delete_cell

    with Store.open(url, create=True) as store:
        two_cells(store, rows)
        lists = select(SampleList.samples)
        for cell, left in (("one", [["s0", "s1"]]), ("two", [])):
            with store.reading() as connection:
                assert list(connection.scalars(lists)) == [["s0", "s1"]]
            delete_cell(store, cell)
            with store.reading() as connection:
                assert list(connection.scalars(lists)) == left


REPEATABLE = [change for change in CHANGES if "'s5'" not in change and "INSERT" not in change]
ANSWERS = st.tuples(st.sampled_from(CELLS), st.integers(0, 3), st.sampled_from((None, 0.0, 0.3, 1.0)), st.booleans())
STEPS = st.one_of(
    st.tuples(st.just("answer"), ANSWERS),
    st.tuples(st.just("ask"), st.tuples(st.sampled_from(CELLS), st.integers(1, 4))),
    st.tuples(st.just("change"), st.sampled_from(REPEATABLE)),
    st.tuples(st.just("fail"), st.sampled_from(CELLS)),
)


@pytest.fixture(scope="module")
def two_cells_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("summaries") / "results.db"
    with Store.open(resolve_url(str(path)), create=True) as store:
        two_cells(store, MadeRows())
        store.put(another_environment())
    return path


@settings(max_examples=25)
@given(st.lists(STEPS, max_size=12))
def test_no_history_makes_a_summary_untrue(two_cells_file: Path, steps: list[tuple[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "results.db"
        shutil.copy(two_cells_file, path)
        with Store.open(resolve_url(str(path)), create=False) as store:
            for kind, values in steps:
                take_step(store, kind, values)
            assert_as_without_summaries(store)


def take_step(store: Store, kind: str, values: Any) -> None:
    rows = MadeRows()
    if kind == "answer":
        cell, ordinal, score, redo = values
        run = store.start_run(["run"], rows.environment)
        failure = AnswerRecord.failure(cell, f"s{ordinal}", run, "broke")
        store.put_answer(failure if score is None else rows.answer(run, ordinal, cell, score=score), redo=redo)
    elif kind == "ask":
        store.put(rows.cell(values[0], samples=values[1]))
    elif kind == "fail":
        store.fail_cell(values, "broke as a whole")
    else:
        with store.writing() as connection:
            connection.execute(text(values))
