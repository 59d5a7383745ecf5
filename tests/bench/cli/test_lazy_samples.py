"""Samples are made when they are needed; one that cannot be made fails alone."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lukv_bench import UserError
from lukv_bench.bench.run import worker
from lukv_bench.bench.samples import sample_set

CELLS, SAMPLES = 2, 4


@pytest.fixture
def run(lukv_bench: Any, tiny: Path) -> Callable[..., Any]:
    command = ("run", "--model", tiny, "--allocator", "uniform", "--ratio", "0.5", "--db", "out.db", "--json")
    return lambda *more: lukv_bench(*command, *more)


NEEDLES = ("--tasks", "niah_single_1", "--length", "360", "--limit", SAMPLES)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is made and read in this process, in order: an ordinal for each sample, "prefill" for each context."""
    steps: list[Any] = []
    render, read = sample_set.render_document, worker.read_context

    def render_document(task: Any, ordinal: int, tokenizer: Any) -> Any:
        steps.append(ordinal)
        return render(task, ordinal, tokenizer)

    def read_context(*arguments: Any) -> Any:
        steps.append("prefill")
        return read(*arguments)

    monkeypatch.setattr(sample_set, "render_document", render_document)
    monkeypatch.setattr(worker, "read_context", read_context)
    return steps


def test_only_the_first_sample_is_made_before_the_first_prefill(run: Callable[..., Any], steps: list[Any]) -> None:
    assert run(*NEEDLES).code == 0
    assert steps == [0, "prefill", 1, "prefill", 2, "prefill", 3, "prefill"]


def test_a_run_that_goes_on_makes_what_is_missing_alone(run: Callable[..., Any], steps: list[Any]) -> None:
    run(*NEEDLES)
    with sqlite3.connect("out.db") as store:
        store.execute("DELETE FROM answer WHERE sample_id IN (SELECT id FROM sample WHERE ordinal = 2)")
    steps.clear()
    assert "2 new answers" in run(*NEEDLES).err
    assert steps == [0, 2, "prefill"]
    steps.clear()
    assert "0 new answers" in run(*NEEDLES).err
    assert steps == [0], "the first sample shows that the command is right"


def failed_answers() -> list[tuple[Any, ...]]:
    with sqlite3.connect("out.db") as store:
        return store.execute(
            "SELECT sample.ordinal, answer.error FROM answer JOIN sample ON sample.id = answer.sample_id "
            "WHERE answer.status = 'failed' ORDER BY 1, answer.id"
        ).fetchall()


ROW = {"input": "Who lit it?", "context": "The keeper lit the lamp.", "answers": ["the keeper"], "length": 5}
BROKEN = [
    (json.dumps(ROW | {"answers": []}), "longbench_hotpotqa, row 2: 'answers' is empty"),
    ("no json", "hotpotqa.jsonl, line 2: not valid JSON"),
    ("[]", "hotpotqa.jsonl, row 2: a JSON object is expected"),
    (json.dumps(ROW | {"context": "lamp " * 9000}), "sample 1 of longbench_hotpotqa takes 9"),
]


@pytest.mark.parametrize(("line", "reason"), BROKEN)
def test_a_row_that_cannot_be_used_fails_alone_and_again(
    run: Callable[..., Any], lukv_bench: Any, tmp_path: Path, line: str, reason: str
) -> None:
    row = json.dumps(ROW | {"all_classes": None})
    (tmp_path / "hotpotqa.jsonl").write_text("\n".join((row, line, row)))
    command = ("--tasks", "longbench_hotpotqa", "--data-dir", tmp_path, "--limit", 3, "--no-truncate")
    for n_new in (2 * CELLS, 0):
        ended = run(*command)
        assert ended.code == 1
        assert f"{n_new} new answers" in ended.err
        assert [(row["status"], row["n"], row["n_failed"]) for row in ended.rows] == [("partial", 2, 1)] * CELLS
        failures = failed_answers()
        assert [ordinal for ordinal, _ in failures] == [1] * CELLS
        assert all(reason in error for _, error in failures)
        assert sum("1 of 3 answers: " in line and reason[:40] in line for line in ended.sentences) == CELLS
    shown = lukv_bench("results", "--db", "out.db", "--answers", "--json").rows
    assert sorted(row["ordinal"] for row in shown if row["status"] == "failed") == [1] * CELLS


def test_a_sample_that_can_be_made_later_leaves_no_failure(run: Callable[..., Any]) -> None:
    real = sample_set.render_document

    def render_document(task: Any, ordinal: int, tokenizer: Any) -> Any:
        if ordinal == 1:
            raise MemoryError("no room for sample 1")
        return real(task, ordinal, tokenizer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_set, "render_document", render_document)
        first = run(*NEEDLES)
    assert first.code == 1
    assert failed_answers() == [(1, "MemoryError: no room for sample 1")] * CELLS
    again = run(*NEEDLES)
    assert again.code == 0
    assert f"{CELLS} new answers" in again.err
    assert [(row["status"], row["n"], row["n_failed"]) for row in again.rows] == [("complete", SAMPLES, 0)] * CELLS
    assert failed_answers() == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_set, "render_document", render_document)
        redone = run(*NEEDLES, "--redo")
    assert redone.code == 1
    assert failed_answers() == [], "a failure never takes the place of an answer"
    assert [(row["status"], row["n"]) for row in redone.rows] == [("complete", SAMPLES)] * CELLS


def test_what_is_wrong_with_the_first_sample_is_refused(
    refused: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render_document(*_: Any) -> Any:
        raise UserError("the first sample is wrong.")

    monkeypatch.setattr(sample_set, "render_document", render_document)
    refused(["run", "--model", tiny, *NEEDLES], "the first sample is wrong")
