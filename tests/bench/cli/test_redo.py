"""`run --redo` answers again what is done; an old answer stays until its new one is there."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.run import answer

SAMPLES = 3


@pytest.fixture
def run(lukv_bench: Any, tiny: Path) -> Callable[..., Any]:
    base = ("run", "--model", tiny, "--tasks", "niah_single_1", "--length", "360", "--ratio", "0.5", "--db", "out.db")
    return lambda *more: lukv_bench(
        *base, "--allocator", "uniform", "--no-baselines", "--limit", SAMPLES, "--json", *more
    )


def answers() -> list[tuple[str, str]]:
    """(run, text) by ordinal."""
    connection = sqlite3.connect("out.db")
    rows = connection.execute(
        "SELECT a.run_id, a.text FROM answer a JOIN sample s ON s.id = a.sample_id ORDER BY s.ordinal"
    ).fetchall()
    connection.close()
    return rows


def saying(patch: pytest.MonkeyPatch, text: str, raises: dict[int, BaseException] | None = None) -> None:
    """The model says something else now, or breaks at some of its answers."""
    real, calls = answer.decode, []

    def decode(*arguments: Any) -> Any:
        calls.append(arguments)
        if raises and len(calls) in raises:
            raise raises[len(calls)]
        made = real(*arguments)
        made.rows[0].text = text
        return made

    patch.setattr(answer, "decode", decode)


def test_every_answer_is_given_again_and_scored(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    first = run()
    before = answers()
    saying(monkeypatch, "new")
    assert "0 new answers" in run().err
    assert answers() == before
    again = run("--redo")
    assert again.code == 0
    assert f"{SAMPLES} new answers" in again.err
    assert [text for _, text in answers()] == ["new"] * SAMPLES
    assert {run_id for run_id, _ in answers()}.isdisjoint({run_id for run_id, _ in before})
    (row,) = again.rows
    assert (row["cell"], row["status"], row["n"]) == (first.rows[0]["cell"], "complete", SAMPLES)


def test_ctrl_c_leaves_every_answer_old_or_new(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    before = answers()
    with pytest.MonkeyPatch.context() as patch:
        saying(patch, "new", {2: KeyboardInterrupt()})
        stopped = run("--redo")
    assert stopped.code == 130
    assert f"1 of {SAMPLES} answers were replaced, the others are unchanged" in stopped.err
    assert [text for _, text in answers()] == ["new", *(text for _, text in before[1:])]
    again = run()
    assert "0 new answers" in again.err
    assert [(row["status"], row["n"]) for row in again.rows] == [("complete", SAMPLES)]


def test_an_answer_that_fails_now_costs_no_old_one(run: Callable[..., Any]) -> None:
    run()
    before = answers()
    with pytest.MonkeyPatch.context() as patch:
        saying(patch, "new", {2: MemoryError("no room")})
        again = run("--redo")
    assert again.code == 1
    assert f"1 of {SAMPLES} answers: MemoryError: no room" in again.err
    assert [text for _, text in answers()] == ["new", before[1][1], "new"]
    assert [(row["status"], row["n"], row["n_failed"]) for row in again.rows] == [("complete", SAMPLES, 0)]
