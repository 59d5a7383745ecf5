"""What `results` shows beside its table: answers, differences to any row, and how a cell is taken out."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from lukv_bench.bench.reports import table
from lukv_bench.db import schema
from lukv_bench.db.records import AnswerRecord
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

DB = ("--db", "out.db")
FULL, UNIFORM, LUKV, OTHER = (letter * 64 for letter in "abcd")
TEXTS = {FULL: ("forty-two", "seven"), UNIFORM: ("I cannot tell" + "\n!" * 200, "eight"), LUKV: ("42", "seven")}
SCORES = {FULL: (1.0, 1.0), UNIFORM: (0.0, 0.0), LUKV: (0.0, 1.0)}


def configuration(identity: str, allocator: str) -> schema.Configuration:
    shared: dict[str, Any] = {"model_revision": "m", "dtype": "float32", "protocol": "agnostic", "seed": 0, "sink": 4}
    shared |= {"window": 1, "code_version": "1", "ratio": None if allocator == "full" else "0.8"}
    spec = shared | {"allocator": {"name": allocator}, "scorer": None if allocator == "full" else {"name": "keydiff"}}
    return schema.Configuration(
        id=identity[::-1].replace(identity[0], "f", 8),
        label=allocator,
        attention="x",
        chat_form="plain",
        truncation="refuse",
        allocator=allocator,
        scorer=None if allocator == "full" else "keydiff",
        **{"schedule": "one-shot", "spec": spec, **shared},
    )


@pytest.fixture
def database(home: object) -> None:
    """Three cells of a task with two samples each, and one of another task, whose only answer failed."""
    with Store.open(resolve_url("out.db"), create=True) as store:
        store.put(schema.Model(revision="m", name="tiny", n_layers=2, n_kv_heads=2, n_query_heads=4, head_dim=8))
        run = store.start_run(["run"], schema.Environment(id="e", python="3", platform="linux", machine="a desktop"))
        for task, references in (("niah_single_1", ["42", "forty-two"]), ("longbench_trec", None)):
            for ordinal in range(2):
                identity = {"id": f"{task}{ordinal}", "task": task, "task_version": "1", "ordinal": ordinal}
                sample = schema.Sample(**identity, prompt_hash="p", generation_hash="g", reference_answers=references)
                store.put(sample)
        for cell, allocator in ((FULL, "full"), (UNIFORM, "uniform"), (LUKV, "lukv"), (OTHER, "lukv")):
            task = "longbench_trec" if cell == OTHER else "niah_single_1"
            of = configuration(cell, allocator)
            asked = {"task": task, "task_version": "1", "samples_asked": 2}
            store.put(of, schema.Cell(id=cell, configuration_id=of.id, **asked))
            if cell == OTHER:
                store.put_answer(AnswerRecord.failure(cell, f"{task}0", run, "RuntimeError: no room\nat all"))
                continue
            for ordinal, text in enumerate(TEXTS[cell]):
                given = {"cell_id": cell, "sample_id": f"{task}{ordinal}", "run_id": run}
                store.put_answer(AnswerRecord(**given, text=text, score=SCORES[cell][ordinal]))


pytestmark = pytest.mark.usefixtures("database")


def test_answers_stand_side_by_side_with_their_references(lukv_bench: Any) -> None:
    lines = lukv_bench("results", *DB, "--answers", "--task", "niah_single_1").out.splitlines()
    assert lines[0].startswith("niah_single_1, sample 0 (niah_sin), tiny")
    assert lines[1].split(None, 1) == ["reference", "42 | forty-two"]
    assert [line.split("  ")[1] for line in lines[2:5]] == [
        "full",
        "uniform x keydiff, prune 0.8",
        "lukv x keydiff, prune 0.8",
    ]
    assert lines[2].endswith("100.0  forty-two")
    assert lines[4].endswith("0.0  42")
    assert "…" in lines[3], "a long text is shortened"
    assert max(map(len, lines)) < 220


@pytest.mark.parametrize("width", [45, 60, 80, 200])
def test_answers_fit_the_terminal_and_lose_no_name(
    width: int, lukv_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "terminal_width", lambda: width)
    out = lukv_bench("results", *DB, "--answers").out
    assert max(map(len, out.splitlines())) <= width
    for value in ("lukv x keydiff, prune 0.8", "42 | forty-two", "100.0  forty-two", "0.0  42", "failed: "):
        assert value in out


def test_answers_for_programs_are_whole(lukv_bench: Any) -> None:
    rows = lukv_bench("results", *DB, "--answers", "--json").rows
    assert [(row["task"], row["ordinal"], row["cell"][0]) for row in rows] == [
        ("longbench_trec", 0, "d"), *(("niah_single_1", ordinal, cell) for ordinal in (0, 1) for cell in "abc")
    ]  # fmt: skip
    failed, *done = rows
    assert (failed["status"], failed["text"], failed["score"]) == ("failed", None, None)
    assert (failed["error"], failed["references"]) == ("RuntimeError: no room\nat all", None)
    assert [row["text"] for row in done] == [
        TEXTS[cell][ordinal] for ordinal in (0, 1) for cell in (FULL, UNIFORM, LUKV)
    ]
    assert {tuple(row["references"]) for row in done} == {("42", "forty-two")}
    table = list(csv.DictReader(io.StringIO(lukv_bench("results", *DB, "--answers", "--csv").out, newline="")))
    assert [row["text"] for row in table[1:]] == [row["text"] for row in done]
    assert json.loads(table[1]["references"]) == ["42", "forty-two"]
    assert len(lukv_bench("results", *DB, "--answers", "--json", "--limit", 1, "--task", "ruler").rows) == 3
    assert "| reference |  | 42 \\| forty-two |" in lukv_bench("results", *DB, "--answers", "--markdown").out


@pytest.mark.parametrize("against", ["full", "uniform", "uniform x keydiff", UNIFORM[:6], "lukv"])
def test_differences_to_any_row(against: str, lukv_bench: Any) -> None:
    rows = {row["cell"]: row for row in lukv_bench("results", *DB, "--json", "--against", against).rows}
    rival = {"f": FULL, "l": LUKV}.get(against[0], UNIFORM)
    other = LUKV if rival != LUKV else UNIFORM
    assert rows[other]["against"] == rival
    assert rows[other]["gain"][0] == 50 * (sum(SCORES[other]) - sum(SCORES[rival]))
    assert rows[rival]["gain"] is None
    for form in ((), ("--markdown",)):
        assert f"vs {against} [95%]" in lukv_bench("results", *DB, "--against", against, *form).out


def test_the_reason_of_a_failure_stays_visible(lukv_bench: Any) -> None:
    out = lukv_bench("results", *DB).out
    assert "failed (0 of 2, 1 failed)" in out
    assert (
        "failed: longbench_trec, lukv x keydiff, prune 0.8: 1 of 2 answers failed: RuntimeError: no room at all" in out
    )
    (row,) = lukv_bench("results", *DB, "--json", "--task", "longbench").rows
    assert (row["n_failed"], row["error"]) == (1, "RuntimeError: no room\nat all")


@pytest.mark.parametrize("form", [(), ("--grid",), ("--markdown",), ("--answers",)])
def test_no_results_are_a_sentence_and_not_a_footnote(form: tuple[str, ...], lukv_bench: Any) -> None:
    ended = lukv_bench("results", *DB, "--task", "niah_multivalue", *form)
    assert (ended.code, len(ended.out.splitlines())) == (0, 1)
    assert ended.out.startswith("no results for niah_multivalue in ")


def test_a_deleted_cell_is_gone(lukv_bench: Any) -> None:
    ended = lukv_bench("results", *DB, "--delete", "bbbb")
    assert (ended.code, ended.out) == (0, "deleted cell bbbbbbbbbbbb (niah_single_1) with 2 answers\n")
    assert [row["cell"] for row in lukv_bench("results", *DB, "--json").rows] == [OTHER, FULL, LUKV]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--delete", "e"), "no cell's id begins"),
        (("--delete", "a", "--json"), "--delete stands alone"),
        (("--against", "nosuch"), "there are full, lukv, uniform"),
        (("--against", "lukv", "--answers"), "leave one of --against and --answers out"),
        (("--answers", "--grid"), "leave one of --grid and --answers out"),
        (("--limit", "3"), "--limit is for --answers"),
        (("--answers", "--limit", "0"), "at least 1"),
        (("--answers", "--limit", str(2**70)), "at most"),
        (("--task", "nosuch"), "There is no task 'nosuch'"),
    ],
)
def test_refused(options: tuple[str, ...], words: str, refused: Callable[..., str]) -> None:
    refused(("results", *DB, *options), words)
