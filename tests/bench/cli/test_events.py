"""What an allocator notes about a request stands with the answer."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.allocators.base import NoteError
from lukv_bench.bench.methods.events import allocator_events

RUN = ("--tasks", "niah_single_1", "--length", "360", "--limit", "1", "--no-baselines", "--db", "out.db")


def events(lukv_bench: Any, model: Path, *arguments: object) -> dict[str, list[dict[str, Any]]]:
    """Of a run's answers, by the configuration's label."""
    ended = lukv_bench("run", "--model", model, *RUN, *arguments)
    assert ended.code == 0, ended.err
    connection = sqlite3.connect("out.db")
    sql = """SELECT f.label, a.events FROM answer a JOIN cell c ON a.cell_id = c.id
             JOIN configuration f ON c.configuration_id = f.id"""
    found = {label: json.loads(said) for label, said in connection.execute(sql)}
    connection.close()
    return found


def test_a_flattened_pyramid_is_recorded_and_a_true_one_is_not(lukv_bench: Any, tiny: Path) -> None:
    allocators = [f"--allocator={spec}" for spec in ("pyramidkv", "shuffled:of=pyramidkv", "pyramidkv:beta=1")]
    found = events(lukv_bench, tiny, *allocators, "--ratio", "0.3", "--ratio", "0.8")
    flat = found["pyramidkv x keydiff @ 0.3"]
    assert [event["event"] for event in flat] == ["pyramid_flattened"]
    assert flat[0]["beta"] == 20
    assert flat[0]["last"] < flat[0]["first"] < flat[0]["asked_first"]
    assert found["shuffled:of=pyramidkv x keydiff @ 0.3"] == flat
    assert [label for label, said in found.items() if said and not label.endswith("0.3")] == []
    assert found["pyramidkv:beta=1 x keydiff @ 0.3"] == []


def test_the_run_s_seed_shuffles(lukv_bench: Any, tiny: Path, profile: Path) -> None:
    spec = f"--allocator=shuffled:of=(lukv:profile={profile})"
    for seed in range(4):
        events(lukv_bench, tiny, spec, "--ratio", "0.5", "--seed", seed)
    connection = sqlite3.connect("out.db")
    sql = "SELECT c.counts FROM answer_allocation k JOIN allocation c ON c.id = k.allocation_id"
    counts = [json.loads(row[0]) for row in connection.execute(sql)]
    connection.close()
    assert len(counts) == 4
    assert len({json.dumps(each) for each in counts}) > 1


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ([{"event": "odd", "share": float("nan")}], "JSON"),
        ([{"event": "odd", "where": object()}], "JSON"),
        (["odd"], "JSON"),
        (3, "JSON"),
        ([{"share": 1}], "no event"),
        ([{"event": 7}], "no event"),
    ],
)
def test_notes_that_cannot_be_stored_are_the_allocator_s_mistake(notes: Any, said: str) -> None:
    with pytest.raises(NoteError, match=said):
        allocator_events(notes)


def test_notes_are_stored_as_plain_data() -> None:
    note = {"event": "odd", "ends": (1, 2.5), "why": None}
    assert allocator_events((note,)) == [{"event": "odd", "ends": [1, 2.5], "why": None}]
