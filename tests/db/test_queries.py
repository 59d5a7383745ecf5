import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import event

from lukv_bench.db.queries import RESULTS_COLUMNS, results_frame, scores_frame, to_records
from lukv_bench.db.records import AnswerRecord, EvidenceRecord, FidelityRecord, TimingRecord
from lukv_bench.db.schema import Environment, Model
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows


@pytest.fixture
def filled(store: Store, rows: "Rows") -> Store:
    """Four cells: full and uniform are complete, lukv and broken partial, one answer of broken failed."""
    given = {
        "full": {"allocator": "full", "scorer": None, "ratio": None},
        "uniform": {},
        "lukv": {"allocator": "lukv", "allocator_args": {"floor": 1}},
        "broken": {"allocator": "adakv", "ratio": None, "keep_tokens": 128, "window": 8},
    }
    store.put(rows.model, *rows.samples(4))
    for name, other in given.items():
        store.put(rows.configuration(name, **other), rows.cell(name, of=name, samples=2))
    run = store.start_run(["run"], rows.environment)
    for i, (full, uniform) in enumerate([(1.0, 0.5), (1.0, 0.0)]):
        timing = TimingRecord(ttft_s=1.0 + i, tpot_s=0.1 if i else None)
        store.put_answer(rows.answer(run, i, "full", score=full, kv_tokens_full=2**40 + i, timing=timing))
        store.put_answer(rows.answer(run, i, "uniform", score=uniform, timing=None))
    store.put_answer(rows.answer(run, 0, "lukv", score=1.0))
    store.put_answer(rows.answer(run, 0, "broken"))
    store.put_answer(AnswerRecord.failure("broken", "s1", run, "NaN scores"))
    return store


def test_results(filled: Store) -> None:
    frame = results_frame(filled)
    assert tuple(frame.columns) == RESULTS_COLUMNS
    assert RESULTS_COLUMNS[:20] == (
        "cell", "configuration", "model", "task", "length", "protocol", "allocator", "scorer", "ratio", "keep_tokens",
        "n", "score", "stderr", "status", "kv_tokens_full", "kv_tokens_kept", "kv_bytes_full", "kv_bytes_kept",
        "ttft_s", "tpot_s",
    )  # fmt: skip
    assert frame["cell"].tolist() == ["full", "uniform", "lukv", "broken"]
    full, uniform, lukv, broken = to_records(frame)
    assert (full["status"], full["score"], full["stderr"], full["n"]) == ("complete", 100.0, 0.0, 2)
    assert (full["scorer"], full["ratio"], full["keep_tokens"]) == (None, 0.0, None)
    assert (full["ttft_s"], full["tpot_s"], full["kv_tokens_full"]) == (1.5, 0.1, 2**40 + 0.5)
    assert (uniform["status"], uniform["score"], uniform["stderr"]) == ("complete", 25.0, pytest.approx(25.0))
    assert (uniform["ratio"], uniform["ttft_s"], uniform["kv_bytes_kept"]) == (0.8, None, 2.0**31)
    assert (lukv["status"], lukv["n"], lukv["allocator_args"]) == ("partial", 1, {"floor": 1})
    assert (broken["status"], broken["n"], broken["n_failed"], broken["error"]) == ("partial", 1, 1, "NaN scores")
    assert [row["n_failed"] for row in (full, uniform, lukv)] == [0, 0, 0]
    assert (broken["ratio"], broken["keep_tokens"], broken["window"]) == (None, 128, 8)
    for incomplete in (lukv, broken):
        assert {incomplete[name] for name in ("score", "stderr", "kv_bytes_kept", "ttft_s", "prefill_s")} == {None}


def test_measures_are_means_over_the_answers_that_have_them(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store)
    fidelity = FidelityRecord(n_tokens=4, kl_nats=0.5, agreement=0.75, parted_at=3, reference_nll=2.0)
    for ordinal, outcome in enumerate(("found", "miscopied", "found")):
        evidence = EvidenceRecord(n_tokens=8, kept_share=ordinal / 4, outcome=outcome)
        measured = {"fidelity": fidelity if ordinal == 1 else None, "evidence": evidence}
        store.put(rows.cell(samples=3), *rows.samples(3))
        store.put_answer(rows.answer(run, ordinal, kept_hash=f"h{ordinal}", **measured))
    (row,) = to_records(results_frame(store))
    names = ("n_fidelity", "kl_nats", "agreement", "reference_nll", "full_reference_nll")
    assert [row[name] for name in names] == [1, 0.5, 0.75, 2.0, None]
    names = ("n_evidence", "evidence_kept_share", "evidence_half_share", "n_found", "n_miscopied", "n_missed")
    assert [row[name] for name in names] == [3, 0.25, None, 2, 1, 0]


@pytest.mark.parametrize(("kept", "is_equal"), [("h0 h1", True), ("h0 h2", False), ("h1 h0", False), ("h0 ", False)])
def test_cells_that_kept_the_same_have_the_same_hash(store: Store, rows: "Rows", kept: str, is_equal: bool) -> None:
    run = rows.put_all(store)
    for cell, hashes in (("cell", "h0 h1"), ("other", kept)):
        store.put(rows.cell(cell))
        for ordinal, kept_hash in enumerate(hashes.split(" ")):
            store.put_answer(rows.answer(run, ordinal, cell, kept_hash=kept_hash or None))
    first, other = (row["kept_hash"] for row in to_records(results_frame(store, ["cell", "other"])))
    assert first is not None
    assert (first == other) is is_equal


def test_results_of_some_cells(filled: Store) -> None:
    assert results_frame(filled, ["lukv", "nowhere", "full", "lukv"])["cell"].tolist() == ["full", "lukv"]
    assert results_frame(filled, [])["cell"].tolist() == []


def test_empty_results_have_the_same_columns_and_types(store: Store, filled: Store) -> None:
    empty, some = results_frame(filled, []), results_frame(filled)
    assert empty.dtypes.to_dict() == some.dtypes.to_dict()
    assert to_records(empty) == []


def test_order_depends_on_content_alone(store: Store, rows: "Rows") -> None:
    other = Model(revision="m0", name="another", n_layers=1, n_kv_heads=1, n_query_heads=1, head_dim=1)
    given = [
        ("a", {"task": "aaa", "length": 4096}, {}),
        ("b", {"task": "aaa", "length": 8192}, {"model_revision": "m0"}),
        ("c", {"length": None}, {}),
        ("d", {}, {"model_revision": "m0"}),
        ("e", {}, {"allocator": "full", "scorer": None, "ratio": None}),
        ("f", {}, {"ratio": "0.5", "allocator": "zzz"}),
        ("g", {}, {"allocator": "uniform", "scorer": "keydiff"}),
        ("h", {}, {"allocator": "uniform", "scorer": "snapkv"}),
        ("i", {}, {"allocator": "adakv"}),
        ("j", {}, {"allocator": "lukv"}),
        ("k", {}, {"ratio": "0.90"}),
        ("l", {}, {"ratio": None, "keep_tokens": 64}),
        ("m", {}, {"ratio": None, "keep_tokens": 512}),
    ]
    store.put(rows.model, other)
    for name, cell, configuration in reversed(given):
        store.put(rows.configuration(name, **configuration), rows.cell(name, of=name, **cell))
    assert "".join(results_frame(store)["cell"]) == "abcdefghijklm"


def test_second_sample_for_a_place_does_not_make_up_for_a_missing_one(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store, samples=2, n_samples=1)
    store.put(*rows.samples(1, id="twin"))
    store.put_answer(rows.answer(run, 0))
    store.put_answer(rows.answer(run, sample_id="twin"))
    assert results_frame(store)["status"].tolist() == ["partial"]


def test_events_are_counted_by_cell(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store, samples=3)
    for ordinal, names in enumerate((["clamp", "cut"], [], ["cut"])):
        store.put_answer(rows.answer(run, ordinal, events=[{"event": name} for name in names]))
    assert results_frame(store)["events"].tolist() == [{"clamp": 1, "cut": 2}]
    assert results_frame(store, ["cell"])["events"].tolist() == [{"clamp": 1, "cut": 2}]


def test_seconds_of_several_machines_are_never_averaged(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store, samples=3)
    other = store.start_run(["run"], Environment(id="f", python="3.11", platform="linux", machine="H900, fast"))
    for ordinal, (by, seconds) in enumerate(((run, 9.0), (other, 1.0), (other, 3.0))):
        store.put_answer(rows.answer(by, ordinal, timing=TimingRecord(ttft_s=seconds, prefill_s=seconds / 2)))
    (row,) = to_records(results_frame(store))
    assert (row["ttft_s"], row["prefill_s"], row["tpot_s"]) == (2.0, 1.0, None)
    assert (row["machine"], row["environment"], row["n_timed"], row["n"]) == ("H900, fast", "f", 2, 3)


def test_seconds_of_one_machine_in_two_runs_are_averaged(store: Store, rows: "Rows") -> None:
    runs = [rows.put_all(store, samples=2), store.start_run(["run"], rows.environment)]
    for ordinal, run in enumerate(runs):
        store.put_answer(rows.answer(run, ordinal, timing=TimingRecord(ttft_s=1.0 + ordinal)))
    (row,) = to_records(results_frame(store))
    assert (row["ttft_s"], row["machine"], row["environment"], row["n_timed"]) == (1.5, "a desktop", "e", 2)


def test_more_cells_than_a_statement_takes_values(store: Store, rows: "Rows") -> None:
    """SQLite's default build takes 32,766, PostgreSQL 65,535; this machine's build may take more."""
    rows.put_all(store)
    cells = [f"{number:064x}" for number in range(70_000)] + ["cell"]
    with limited(store, 32_766):
        assert results_frame(store, cells)["cell"].tolist() == ["cell"]
        assert scores_frame(store, cells).empty


@contextmanager
def limited(store: Store, n_values: int) -> Iterator[None]:
    """With SQLite's limit of values in a statement as its default build has it."""

    def limit(connection: sqlite3.Connection, _entry: object, _proxy: object = None) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, n_values)

    event.listen(store._engine, "checkout", limit)
    yield
    event.remove(store._engine, "checkout", limit)


def test_scores(filled: Store) -> None:
    frame = scores_frame(filled, ["uniform", "full", "broken"])
    assert frame.columns.tolist() == ["cell", "sample", "ordinal", "score"]
    assert frame.to_numpy().tolist() == [
        ["broken", "s0", 0, 100.0],
        ["full", "s0", 0, 100.0],
        ["full", "s1", 1, 100.0],
        ["uniform", "s0", 0, 50.0],
        ["uniform", "s1", 1, 0.0],
    ]
    assert scores_frame(filled, []).dtypes.to_dict() == frame.dtypes.to_dict()


def test_records_are_json(filled: Store) -> None:
    records = to_records(results_frame(filled))
    assert json.loads(json.dumps(records, allow_nan=False)) == records
    assert {type(record["length"]) for record in records} == {int}


def test_records_of_any_frame() -> None:
    frame = pd.DataFrame(
        {
            "int": np.array([1, 2], dtype=np.int32),
            "float": [np.nan, 2.0],
            "nullable": pd.array([None, 3], dtype="Int64"),
            "real": pd.array([None, 3.5], dtype="Float64"),
            "text": ["a", None],
            "bool": [True, False],
            "list": [[1, 2], None],
        }
    )
    first, second = to_records(frame)
    assert first == {"int": 1, "float": None, "nullable": None, "real": None, "text": "a", "bool": True, "list": [1, 2]}
    assert second == {"int": 2, "float": 2.0, "nullable": 3, "real": 3.5, "text": None, "bool": False, "list": None}
    assert [type(second[name]) for name in ("int", "nullable", "real", "bool")] == [int, int, float, bool]
