from typing import TYPE_CHECKING

import pytest

from lukv_bench.db.queries import results_frame
from lukv_bench.db.records import TimingRecord
from lukv_bench.db.results import read_results
from lukv_bench.db.schema import Environment
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows


def _environment(name: str, machine: str) -> Environment:
    return Environment(id=name, python="3.11", platform="linux", machine=machine)


@pytest.mark.parametrize(
    ("given", "machine", "ttft_s"),
    [
        ([("a", 1.0), ("a", 3.0), ("b", 100.0)], "a", 2.0),
        ([("b", 1.0), ("a", 100.0), ("b", 3.0)], "b", 2.0),
        ([("b", 5.0), ("a", 7.0)], "a", 7.0),
        ([("b", 5.0), ("a", None), ("a", None)], "b", 5.0),
        ([("a", None)], None, None),
    ],
)
def test_seconds_are_of_the_machine_that_gave_most_of_the_timed_answers(
    any_store: Store,
    rows: "Rows",
    given: list[tuple[str, float | None]],
    machine: str | None,
    ttft_s: float | None,
) -> None:
    rows.put_all(any_store, samples=len(given))
    runs = {name: any_store.start_run(["run"], _environment(f"environment of {name}", name)) for name, _ in given}
    for ordinal, (name, seconds) in enumerate(given):
        timing = None if seconds is None else TimingRecord(ttft_s=seconds)
        any_store.put_answer(rows.answer(runs[name], ordinal, timing=timing))
    row = results_frame(any_store).astype(object).where(lambda frame: frame.notna(), None).iloc[0]
    assert (row["machine"], row["ttft_s"], row["kv_bytes_kept"]) == (machine, ttft_s, 2.0**31)


def test_a_machine_is_the_same_after_its_packages_changed(any_store: Store, rows: "Rows") -> None:
    rows.put_all(any_store, samples=3)
    by = [("torch 2", "a"), ("torch 3", "a"), ("torch 2 elsewhere", "b")]
    for ordinal, (name, machine) in enumerate(by):
        run = any_store.start_run(["run"], _environment(name, machine))
        any_store.put_answer(rows.answer(run, ordinal, timing=TimingRecord(ttft_s=(1.0, 3.0, 50.0)[ordinal])))
    (row,) = read_results(any_store)
    assert (row["machine"], row["ttft_s"], row["n_timed"], row["environment"]) == ("a", 2.0, 2, None)
