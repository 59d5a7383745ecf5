"""What a page asks of a large database is answered by way of an index."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from lukv_bench.db.comparable import Setting
from lukv_bench.db.database import Database
from lukv_bench.db.frames.cells import read_cells
from lukv_bench.db.frames.commands import read_commands
from lukv_bench.db.frames.mean_counts import read_mean_counts
from lukv_bench.db.frames.profiles import read_profile_curves
from lukv_bench.db.frames.sample_answers import read_answers_of_sample
from lukv_bench.db.frames.sample_scores import read_sample_scores
from lukv_bench.db.frames.search import search_samples
from lukv_bench.db.frames.settings import read_settings
from lukv_bench.db.store import Store

LARGE = "answer|timing|cell|cell_summary|sample|answer_allocation|allocation|sample_list|claim"
"""Tables that grow with every run."""

QUESTIONS: dict[str, Callable[[Database, Setting], Any]] = {
    "settings": lambda db, setting: read_settings(db),
    "cells": read_cells,
    "cells of a task": lambda db, setting: read_cells(db, setting, ["niah"]),
    "scores": lambda db, setting: read_sample_scores(db, ["full niah", "uniform-0.8 vt", "aware niah"]),
    "samples": lambda db, setting: search_samples(db, setting, "niah"),
    "samples with a text": lambda db, setting: search_samples(db, setting, "niah", "says"),
    "answers": lambda db, setting: read_answers_of_sample(db, "niah0", ["full niah", "uniform-0.8 niah"]),
    "counts": lambda db, setting: read_mean_counts(db, "full", "niah", 1024),
    "profile": lambda db, setting: read_profile_curves(db, "p"),
    "commands": lambda db, setting: read_commands(db, ["full niah", "uniform-0.8 niah"]),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_large_table_is_read_from_end_to_end(sqlite_results: Store, name: str) -> None:
    """As SQLite plans it; PostgreSQL, whose indexes are the same, reads any table whole while it is small."""
    results = sqlite_results
    setting = Setting.of(read_settings(results).iloc[0])
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(results._engine, "before_cursor_execute", note)
    QUESTIONS[name](results, setting)
    event.remove(results._engine, "before_cursor_execute", note)
    selects = [each for each in asked if each[0].startswith(("SELECT", "WITH"))]
    assert selects
    for statement, parameters in selects:
        with results.reading() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        scanned = [line for *_, line in plan if re.match(rf"SCAN ({LARGE})\b(?!.* USING COVERING INDEX)", line)]
        assert not scanned, statement
