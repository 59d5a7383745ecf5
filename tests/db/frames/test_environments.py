"""The machines and packages that the runs used."""

from typing import Any

import sqlalchemy as sa

from lukv_bench.db.frames.environments import ENVIRONMENT_COLUMNS, read_environments
from lukv_bench.db.store import Store


def test_an_environment_counts_its_runs(any_store: Store, rows: Any) -> None:
    for _ in range(2):
        any_store.start_run(["run", "x"], rows.environment)
    frame = read_environments(any_store)
    assert tuple(frame.columns) == ENVIRONMENT_COLUMNS
    assert frame["n_runs"].tolist() == [2]
    assert frame["packages"].tolist() == [{"torch": "2.13"}]
    assert frame["first_run_at"].iloc[0] <= frame["last_run_at"].iloc[0]


def test_packages_that_another_program_broke_are_none(store: Store, rows: Any) -> None:
    store.start_run(["run", "x"], rows.environment)
    with store.writing() as connection:
        connection.execute(sa.text("UPDATE environment SET packages = '[1'"))
    assert read_environments(store)["packages"].tolist() == [{}]


def test_a_record_without_runs_has_no_environments(store: Store) -> None:
    assert read_environments(store).empty
