import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError, StatementError

from lukv_bench.db.queries import results_frame
from lukv_bench.db.records import AnswerRecord, EvidenceRecord, FidelityRecord
from lukv_bench.db.schema import (
    Allocation,
    Answer,
    AnswerAllocation,
    Cell,
    Configuration,
    Evidence,
    Fidelity,
    MethodPage,
    Model,
    Run,
    Sample,
    Timing,
)
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows


def test_put_is_all_or_nothing_in_any_order(store: Store, rows: "Rows") -> None:
    store.put(*rows.samples(2), rows.cell(), rows.configuration(), rows.model)
    store.put(*rows.samples(2), rows.cell(), rows.configuration(), rows.model)
    with pytest.raises(IntegrityError):
        store.put(rows.configuration("new"), rows.cell("c2", of="nowhere"))
    with store.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(Configuration)) == 1
        assert connection.scalar(select(Configuration.spec)) == {"name": "uniform-0.8"}


def test_what_is_hashed_never_changes_but_a_method_takes_newer_words(store: Store, rows: "Rows") -> None:
    store.put(rows.model, MethodPage(kind="scorer", name="keydiff", distribution="d", version="1", summary="old"))
    store.put(
        Model(revision="m", name="other", n_layers=1, n_kv_heads=1, n_query_heads=1, head_dim=1),
        MethodPage(kind="scorer", name="keydiff", distribution="d", version="1", summary="new", arguments={"a": 1}),
    )
    with store.reading() as connection:
        assert connection.scalar(select(Model.name)) == "tiny"
        assert connection.execute(select(MethodPage.summary, MethodPage.arguments)).one() == ("new", {"a": 1})


def test_more_samples_than_a_statement_takes_are_put_and_filled_in(store: Store, rows: "Rows") -> None:
    store.put(*rows.samples(700))
    store.put(*rows.samples(1203, facets={"bucket": "8k+"}, reference_answers=["blue"]))
    store.put(*rows.samples(1203, facets={"bucket": "other"}, reference_answers=["red"]))
    with store.reading() as connection:
        found = connection.execute(select(Sample.facets, Sample.reference_answers)).all()
    assert found == [({"bucket": "8k+"}, ["blue"])] * 1203


def test_facets_that_an_older_version_did_not_write_are_filled_in(any_store: Store, rows: "Rows") -> None:
    """The sample and its answers stay what they are."""
    any_store.put(*rows.samples(2, facets={"bucket": "8k+"}, reference_answers=["blue"]))
    run = rows.put_all(any_store, samples=1)
    any_store.put_answer(rows.answer(run))
    any_store.put(*rows.samples(1, facets={"document": "d", "bucket": "other"}, reference_answers=["red"]))
    with any_store.reading() as connection:
        found = connection.execute(select(Sample.facets, Sample.reference_answers).order_by(Sample.ordinal)).all()
    assert found[:2] == [({"document": "d", "bucket": "8k+"}, ["blue"]), ({"bucket": "8k+"}, ["blue"])]
    assert rows.stored(any_store) == [("s0", 0, "answer 0", 1.0)]
    assert results_frame(any_store)["status"].tolist() == ["complete"]


def test_details_of_a_model_that_an_older_version_did_not_write_are_filled_in(any_store: Store) -> None:
    sizes = {"name": "tiny", "n_layers": 1, "n_kv_heads": 2, "n_query_heads": 4, "head_dim": 8}
    for details in ({"evicted_layers": [1]}, {"evicted_layers": [0], "windows": [[31, 64]]}):
        any_store.put(Model(revision="m" * 64, details=details, **sizes))
    with any_store.reading() as connection:
        assert connection.scalar(select(Model.details)) == {"evicted_layers": [1], "windows": [[31, 64]]}


def test_samples_asked_only_grows(store: Store, rows: "Rows") -> None:
    rows.put_all(store, samples=4)
    for asked, expected in ((2, 4), (6, 6), (5, 6)):
        store.put(rows.cell(samples=asked))
        with store.reading() as connection:
            assert connection.scalar(select(Cell.samples_asked)) == expected


def test_run(store: Store, rows: "Rows") -> None:
    run = store.start_run(["run", "--limit", "3"], rows.environment)
    killed = store.start_run(["run"], rows.environment)
    store.finish_run(run, 130)
    with store.reading() as connection:
        row = connection.execute(select(Run.__table__).where(Run.id == run)).one()
        assert connection.scalar(select(Run.status).where(Run.id == killed)) == "running"
    assert (row.status, row.exit_code, row.command) == ("interrupted", 130, ["run", "--limit", "3"])
    assert row.started_at <= row.finished_at
    assert row.started_at.tzinfo is not None
    with pytest.raises(LookupError):
        store.finish_run("nope", 0)


def test_answer_is_stored_whole(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store)
    assert store.put_answer(rows.answer(run))
    with store.reading() as connection:
        answer = connection.execute(select(Answer.__table__)).one()
        assert connection.scalar(select(Allocation.counts)) == [[100, 300], [250, 150]]
        timing = connection.execute(select(Timing.__table__)).one()
    assert (answer.kv_bytes_full, answer.events, answer.run_id) == (2**33, [{"event": "clamp", "n": 1}], run)
    assert (timing.prefill_s, timing.tpot_s, timing.kind) == (2.0, None, "indicative")
    assert store.done_ordinals(["cell"]) == {"cell": {0}}


_MEASURED = (Fidelity.__table__, Evidence.__table__)


def test_what_was_measured_of_an_answer_is_stored_whole_and_goes_with_it(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store)
    fidelity = FidelityRecord(
        n_tokens=5, kl_nats=0.25, agreement=0.8, parted_at=4, n_reference_tokens=3, reference_nll=1.5,
        full_reference_nll=0.5,
    )  # fmt: skip
    evidence = EvidenceRecord(
        n_tokens=9, kept_share=0.5, half_share=0.25, layer_shares=[0.25, 0.75], outcome="miscopied",
        n_right_characters=4, n_characters=7,
    )  # fmt: skip
    assert store.put_answer(rows.answer(run, fidelity=fidelity, evidence=evidence, kept_hash="k"))
    with store.reading() as connection:
        stored = [dict(connection.execute(select(table)).mappings().one()) for table in _MEASURED]
        assert connection.scalar(select(Answer.kept_hash)) == "k"
    assert stored == [{"answer_id": 1} | asdict(fidelity), {"answer_id": 1} | asdict(evidence)]
    with store.writing() as connection:
        connection.execute(delete(Answer))
        assert [connection.execute(select(table)).all() for table in _MEASURED] == [[], []]


def test_done_answer_is_never_replaced(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store)
    assert store.put_answer(rows.answer(run, text="first"))
    assert not store.put_answer(rows.answer(run, text="second"))
    assert not store.put_answer(AnswerRecord.failure("cell", "s0", run, "broke"))
    assert [answer.text for answer in rows.stored(store)] == ["first"]


def test_failed_answer_is_replaced_with_all_that_hangs_on_it(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store)
    failed = rows.answer(run, status="failed", text=None, score=None, error="NaN scores")
    assert store.put_answer(failed)
    assert store.done_ordinals(["cell"]) == {}
    assert store.put_answer(AnswerRecord.failure("cell", "s0", run, "again"))
    assert store.put_answer(rows.answer(run))
    assert store.done_ordinals(["cell"]) == {"cell": {0}}
    with store.reading() as connection:
        for table in (Answer, Timing, AnswerAllocation):
            assert connection.scalar(select(func.count()).select_from(table)) == 1


def test_answers_come_by_ordinal(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store, samples=8)
    for ordinal in (3, 0, 7):
        store.put_answer(rows.answer(run, ordinal, score=0.5))
    assert [(a.sample_id, a.ordinal, a.score) for a in rows.stored(store)] == [
        ("s0", 0, 0.5),
        ("s3", 3, 0.5),
        ("s7", 7, 0.5),
    ]


def test_strange_texts_come_back_as_they_were(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store)
    store.put_answer(rows.answer(run, text="\u2028 中 \N{PILE OF POO} 'quote\" \\ \r\n"))
    store.put_answer(rows.answer(run, 1, text=""))
    assert [answer.text for answer in rows.stored(store)] == ["\u2028 中 \N{PILE OF POO} 'quote\" \\ \r\n", ""]


def test_what_no_database_takes_is_replaced(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store)
    store.put_answer(rows.answer(run, text="a\0b\ud83dc"))
    store.fail_cell("cell", "cannot read file \udcff")
    assert rows.stored(store)[0].text == "a\ufffdb\ufffdc"
    assert results_frame(store)["error"].tolist() == ["cannot read file \ufffd"]


def test_unknown_rows_are_refused(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store)
    with pytest.raises(LookupError, match="no cell nope in the database"):
        store.put_answer(rows.answer(run, cell="nope"))
    with pytest.raises(LookupError):
        store.fail_cell("nope", "no profile")
    for wrong in (rows.answer("no run"), rows.answer(run, 99)):
        with pytest.raises(IntegrityError):
            store.put_answer(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": None},
        {"score": None},
        {"error": "x"},
        {"status": "failed"},
        {"score": math.nan},
        {"score": 1.5},
        {"score": -0.1},
    ],
)
def test_record_that_contradicts_itself(rows: "Rows", wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"text|error|score"):
        rows.answer("run", **wrong)


def test_nan_in_json_is_refused(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store)
    with pytest.raises(StatementError, match="JSON"):
        store.put_answer(rows.answer(run, events=({"share": math.nan},)))
    assert store.done_ordinals(["cell"]) == {}


def test_failures_of_more_configurations_than_a_statement_takes_are_forgotten(store: Store, rows: "Rows") -> None:
    run = rows.put_all(store)
    store.put_answer(AnswerRecord.failure("cell", "s0", run, "out of memory"))
    store.forget_failures([f"none-{i}" for i in range(260_000)] + [rows.configuration().id])
    assert results_frame(store).empty
