"""A database with two configurations on two tasks, and one more in a setting of its own."""

from typing import TYPE_CHECKING

import pytest

from lukv_bench.db.schema import Sample
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from ..conftest import Rows

SCORES = {"full": (1.0, 1.0, 0.5), "uniform-0.8": (1.0, 0.0, 0.25)}
"""By configuration, of the three samples of each task."""

TASKS = ("niah", "vt")


@pytest.fixture
def results(any_store: Store, rows: "Rows") -> Store:
    fill(any_store, rows)
    return any_store


@pytest.fixture
def sqlite_results(store: Store, rows: "Rows") -> Store:
    fill(store, rows)
    return store


def fill(store: Store, rows: "Rows") -> None:
    store.put(
        rows.model,
        rows.configuration("full", allocator="full", scorer=None, ratio=None),
        rows.configuration("uniform-0.8", allocator_args={"floor": 4}),
        rows.configuration("aware", protocol="aware"),
        *(each for task in TASKS for each in samples_of(rows, task)),
    )
    command = ["lukv-bench", "run", "--model", "tiny", "--batch=8", "--db", "x.db", "--ratio", ".5,.8", "--redo"]
    command += ["--allocator", "uniform:floor=4", "--tasks", "niah,vt", "--limit", "9"]
    run = store.start_run(command, rows.environment)
    for name, scores in SCORES.items():
        for task in TASKS:
            cell = f"{name} {task}"
            store.put(rows.cell(cell, of=name, samples=3, task=task))
            for ordinal, score in enumerate(scores):
                counts = [[ordinal, 300], [250, 150]]
                text = f"{name} says {ordinal}"
                given = {"score": score, "text": text, "keep_counts": counts, "sample_id": f"{task}{ordinal}"}
                store.put_answer(rows.answer(run, ordinal, cell, **given))
    store.put(rows.cell("aware niah", of="aware", samples=3))


def samples_of(rows: "Rows", task: str) -> list[Sample]:
    """Three samples of a task, each with a reference of its own."""
    samples = rows.samples(3, task=task, facets={"depth": 1})
    for sample, reference in zip(samples, ("blue 50%", "green", "red"), strict=True):
        sample.id, sample.reference_answers = f"{task}{sample.ordinal}", [reference]
    return samples
