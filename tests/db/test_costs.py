"""Measurements of cost: what is refused, what is read back, and what stands in the way of deleting."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from lukv_bench.db.cost_records import STEPS, CostRecord, RepeatRecord
from lukv_bench.db.cost_rows import COST_COLUMNS, read_costs
from lukv_bench.db.costs import OverlapError, done_costs, put_cost
from lukv_bench.db.database import make_engine, writing_engine
from lukv_bench.db.migrate import restore_triggers
from lukv_bench.db.removal import delete_cell
from lukv_bench.db.schema import Configuration, Cost, CostDevice, CostRepeat
from lukv_bench.db.store import Store

from .conftest import Rows

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
STEP_S = {
    "prefill_s": 3.0,
    "score_s": 0.5,
    "allocate_s": 0.01,
    "select_s": 0.02,
    "compact_s": 0.03,
    "first_token_s": 0.2,
}


def repeat(factor: float = 1.0, **other: Any) -> RepeatRecord:
    seconds: dict[str, Any] = {name: factor * value for name, value in STEP_S.items()}
    given = {"token_s": [0.1 * factor, 0.3 * factor], "wall_s": 5.0, "peak_bytes": 10**9, "peak_reserved_bytes": None}
    return RepeatRecord(**(seconds | given | other))


@pytest.fixture
def measured(rows: Rows) -> Callable[..., CostRecord]:
    configuration = rows.configuration()

    def record(**other: Any) -> CostRecord:
        given: dict[str, Any] = {
            "id": "c1",
            "configuration_id": configuration.id,
            "task": "niah",
            "task_version": "1",
            "data_revision": "",
            "length": 1024,
            "sample_id": "s0",
            "run_id": "none yet",
            "environment_id": "e",
            "devices": ["card"],
            "started_at": NOON,
            "finished_at": NOON + timedelta(minutes=1),
            "n_context_tokens": 1000,
            "n_question_tokens": 20,
            "n_new_tokens": 3,
            "n_repeats": 3,
            "gate_error": 1e-6,
            "gate_tolerance": 1e-4,
            "n_gate_tokens": 22,
            "kv_tokens_full": 4000,
            "kv_tokens_kept": 800,
            "kv_bytes_full": 2**33,
            "kv_bytes_kept": 2**31,
            "kv_bytes_allocated": 2**31 + 4096,
            "footprint": 0.6,
            "model_bytes": 10**8,
            "repeats": [repeat(), repeat(3.0), repeat(2.0, peak_bytes=2 * 10**9)],
        }
        return CostRecord(**(given | other))

    return record


@pytest.fixture
def ready(any_store: Store, rows: Rows, measured: Callable[..., CostRecord]) -> tuple[Store, CostRecord]:
    """A store with a run, and a measurement of that run."""
    return any_store, measured(run_id=rows.put_all(any_store))


FAILED = {"status": "failed", "error": "OutOfMemoryError: too long", "repeats": []}


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"gate_error": 2e-4}, "its logits differ by 0.0002"),
        ({"gate_error": float("nan")}, "its logits differ by nan"),
        ({"gate_error": None}, "its logits differ by None"),
        ({"repeats": [repeat(), repeat()]}, "2 of 3 repeats were measured"),
        ({"repeats": [repeat(), repeat(), repeat(select_s=None)]}, "lacks one of its seconds"),
        ({"repeats": [repeat(), repeat(), repeat(prefill_s=float("inf"))]}, "lacks one of its seconds"),
        ({"repeats": [repeat(), repeat(), repeat(token_s=[0.1])]}, "1 of 2 later tokens"),
        ({"batch_rows": 4}, "0 of 3 batch repeats"),
        ({"batch": [repeat()]}, "1 of 0 batch repeats"),
        ({"footprint": None}, "lacks its footprint"),
        ({"devices": []}, "a device for itself"),
        ({"finished_at": NOON - timedelta(seconds=1)}, "ends after it began"),
        ({"status": "failed", "error": "x"}, "has an error and no repeats"),
        ({**FAILED, "error": None}, "has an error and no repeats"),
    ],
)
def test_what_is_incomplete_or_not_proven_right_is_no_record(
    measured: Callable[..., CostRecord], other: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        measured(**other)


def test_a_measurement_comes_back_with_medians_quartiles_and_every_value(ready: tuple[Store, CostRecord]) -> None:
    store, record = ready
    batch = [repeat(), repeat(), repeat(2.0, peak_bytes=3 * 10**9)]
    assert put_cost(store, replace(record, batch_rows=8, max_memory=2**40, batch=batch))
    (row,) = read_costs(store)
    assert tuple(row) == COST_COLUMNS
    assert (row["status"], row["error"], row["machine"], row["label"]) == ("done", None, "a desktop", "uniform-0.8")
    assert [row[f"prefill_s{end}"] for end in ("_q1", "", "_q3")] == [4.5, 6.0, 7.5]
    assert row["ttft_s"] == pytest.approx(2 * sum(STEP_S.values()))
    assert row["tpot_s"] == pytest.approx(0.4)
    assert row["tokens_per_s"] == pytest.approx(2.5)
    assert row["batch_tokens_per_s"] == pytest.approx(8 / 0.2)
    assert (row["peak_bytes"], row["batch_peak_bytes"], row["peak_reserved_bytes"]) == (2 * 10**9, 3 * 10**9, None)
    assert row["kv_bytes_allocated"] == 2**31 + 4096
    assert [each["token_s"] for each in row["repeats"]] == [list(each.token_s) for each in record.repeats]
    assert [each["score_s"] for each in row["repeats"]] == [0.5, 1.5, 1.0]
    assert len(row["batch_repeats"]) == 3


def test_the_same_measurement_is_stored_once_and_a_failed_one_until_it_is_done(
    ready: tuple[Store, CostRecord], measured: Callable[..., CostRecord]
) -> None:
    store, record = ready
    failed = measured(run_id=record.run_id, **FAILED)
    assert put_cost(store, failed)
    assert done_costs(store, ["c1", "c2"]) == set()
    (row,) = read_costs(store)
    assert (row["status"], row["error"], row["tpot_s"], row["footprint"]) == ("failed", FAILED["error"], None, None)
    assert put_cost(store, record)
    assert done_costs(store, ["c1", "c2"]) == {"c1"}
    assert not put_cost(store, failed, redo=True)
    assert not put_cost(store, replace(record, footprint=0.7))
    assert put_cost(store, replace(record, footprint=0.7), redo=True)
    assert [row["footprint"] for row in read_costs(store)] == [0.7]


def test_two_measurements_that_shared_a_device_are_not_both_stored(ready: tuple[Store, CostRecord]) -> None:
    store, record = ready
    assert put_cost(store, record)
    half = {"started_at": NOON + timedelta(seconds=30), "finished_at": NOON + timedelta(seconds=90)}
    for more in ({}, FAILED):
        with pytest.raises(OverlapError, match=r"uniform-0\.8 on niah used the device at the same time"):
            put_cost(store, replace(record, id="c2", devices=["another", "card"], **half, **more))
    assert [row["cost"] for row in read_costs(store)] == ["c1"]
    assert put_cost(store, replace(record, id="c2", devices=["another"], **half))
    after = {"started_at": record.finished_at, "finished_at": NOON + timedelta(minutes=2)}
    assert put_cost(store, replace(record, id="c3", **after))
    assert len(read_costs(store)) == 3


def test_the_database_itself_refuses_them_also_after_a_copy_without_triggers(
    ready: tuple[Store, CostRecord], rows: Rows
) -> None:
    store, record = ready
    assert put_cost(store, record)
    assert put_cost(store, replace(record, id="c2", devices=["another"]))

    def share(device: str) -> None:
        with store.writing() as connection:
            connection.execute(insert(CostDevice).values(cost_id="c2", device=device))

    with pytest.raises(DBAPIError, match="two measurements of cost used a device at the same time"):
        share("card")
    restore_triggers(writing_engine(make_engine(store.url, pooled=False)))
    with pytest.raises(DBAPIError, match="two measurements of cost used a device at the same time"):
        share("card")


@pytest.mark.parametrize(
    "values",
    [{"gate_error": 1.0}, {"gate_error": None}, {"error": "x"}, {"status": "failed"}, {"n_repeats": 0},
     {"finished_at": NOON - timedelta(days=1)}, {"footprint": None}],
)  # fmt: skip
def test_the_database_itself_refuses_a_done_row_that_is_not(
    ready: tuple[Store, CostRecord], values: dict[str, Any]
) -> None:
    store, record = ready
    assert put_cost(store, record)
    with pytest.raises(IntegrityError), store.writing() as connection:
        connection.execute(update(Cost).values(values))


def test_a_row_that_lost_a_repeat_shows_no_seconds(ready: tuple[Store, CostRecord]) -> None:
    store, record = ready
    assert put_cost(store, record)
    with store.writing() as connection:
        connection.execute(delete(CostRepeat).where(CostRepeat.ordinal == 1))
    (row,) = read_costs(store)
    assert (row["status"], row["ttft_s"], row["tpot_s"], row["peak_bytes"]) == ("unreadable", None, None, None)
    assert "repeats of row c1" in str(row["error"])


def test_deleting_a_cell_leaves_its_measured_cost_and_its_configuration(ready: tuple[Store, CostRecord]) -> None:
    store, record = ready
    assert put_cost(store, record)
    delete_cell(store, "cell")
    with store.reading() as connection:
        assert connection.scalars(select(Configuration.id)).all() == [record.configuration_id]
    (row,) = read_costs(store)
    assert row["allocator"] == "uniform"
    assert all(row[name] is not None for name in STEPS)
