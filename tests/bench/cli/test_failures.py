"""What fails late, and what becomes of it when the same command is typed again."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.errors import PluginError
from lukv_bench.bench.methods import profiles
from lukv_bench.bench.run import answer, scores, worker

COMMAND = ("--tasks", "niah_single_1", "--length", "360", "--limit", "2", "--ratio", "0.5", "--db", "out.db", "--json")


LIMIT_5 = (*COMMAND[:4], "--limit", "5", *COMMAND[6:])


def counts(rows: list[dict[str, Any]]) -> dict[str, tuple[str, int, int]]:
    return {row["allocator"]: (row["status"], row["n"], row["n_failed"]) for row in rows}


def statuses(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["allocator"]: row["status"] for row in rows}


def test_a_cell_whose_profile_could_not_be_made_is_gone_once_it_could(
    tiny: Path, profile: Path, lukv_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmade(*_: Any) -> Any:
        raise PluginError("no profile today")

    command = ("run", "--model", tiny, "--allocator", f"lukv:profile={profile}", *COMMAND)
    with monkeypatch.context() as patch:
        patch.setattr(profiles, "obtain_profile", unmade)
        first = lukv_bench(*command)
    assert first.code == 1
    assert statuses(first.rows) == {"full": "complete", "uniform": "complete", "lukv": "failed"}
    assert lukv_bench(*command).code == 0
    rows = lukv_bench("results", "--db", "out.db", "--json").rows
    assert len(rows) == 3
    assert statuses(rows) == {"full": "complete", "uniform": "complete", "lukv": "complete"}


def fail_on(patch: pytest.MonkeyPatch, module: Any, name: str, *calls: int) -> list[Any]:
    """Have a function raise at some of its calls, counted from 1; gives the arguments of all."""
    real, seen = getattr(module, name), []

    def sometimes(*arguments: Any, **named: Any) -> Any:
        seen.append(arguments)
        if len(seen) in calls:
            raise MemoryError(f"no room at call {len(seen)}")
        return real(*arguments, **named)

    patch.setattr(module, name, sometimes)
    return seen


def test_a_failed_answer_stops_no_other_answer_of_its_cell_and_is_retried_alone(tiny: Path, lukv_bench: Any) -> None:
    command = ("run", "--model", tiny, "--allocator", "uniform", "--no-baselines", *LIMIT_5)
    with pytest.MonkeyPatch.context() as patch:
        fail_on(patch, answer, "decode", 1, 2, 4)
        first = lukv_bench(*command)
    assert first.code == 1
    assert counts(first.rows) == {"uniform": ("partial", 2, 3)}
    assert first.rows[0]["error"] == "MemoryError: no room at call 1"
    context, *sentences = first.sentences
    assert context.startswith("--length")
    assert sentences == [
        "failed: uniform x keydiff @ 0.5 on niah_single_1 at 360: 3 of 5 answers: MemoryError: no room at call 1",
        first.sentences[-1],
    ]
    assert "2 new answers" in first.sentences[-1]
    later = lukv_bench("results", "--db", "out.db", "--json").rows
    assert (later[0]["n_failed"], later[0]["error"]) == (3, "MemoryError: no room at call 1")
    with pytest.MonkeyPatch.context() as patch:
        seen = fail_on(patch, answer, "decode")
        again = lukv_bench(*command)
    assert again.code == 0
    assert counts(again.rows) == {"uniform": ("complete", 5, 0)}
    assert again.rows[0]["error"] is None
    assert len(seen) == 3


def test_a_run_says_the_reason_of_a_failure_once(tiny: Path, lukv_bench: Any) -> None:
    command = ("run", "--model", tiny, "--allocator", "uniform", "--no-baselines", *LIMIT_5[:-1])
    with pytest.MonkeyPatch.context() as patch:
        fail_on(patch, answer, "decode", 1)
        ended = lukv_bench(*command)
    assert ended.code == 1
    assert (ended.err + ended.out).count("no room at call 1") == 1
    assert "partial (4 of 5, 1 failed)" in ended.out
    assert "no room at call 1" in lukv_bench("results", "--db", "out.db").out


@pytest.mark.parametrize("batch", ["1", "8"])
def test_a_prefill_that_fails_costs_its_sample_alone(tiny: Path, lukv_bench: Any, batch: str) -> None:
    command = ("run", "--model", tiny, "--allocator", "uniform", "--batch", batch, *LIMIT_5)
    with pytest.MonkeyPatch.context() as patch:
        fail_on(patch, worker, "read_context", 2)
        first = lukv_bench(*command)
    assert first.code == 1
    assert counts(first.rows) == {"full": ("partial", 4, 1), "uniform": ("partial", 4, 1)}
    again = lukv_bench(*command)
    assert again.code == 0
    assert "2 new answers" in again.err
    assert counts(again.rows) == {"full": ("complete", 5, 0), "uniform": ("complete", 5, 0)}


@pytest.mark.parametrize("batch", ["1", "8"])
def test_an_error_in_a_metric_loses_no_text_decodes_nothing_again_and_harms_no_other(
    tiny: Path, lukv_bench: Any, batch: str
) -> None:
    command = ("run", "--model", tiny, "--allocator", "uniform", "--batch", batch, *COMMAND)
    with pytest.MonkeyPatch.context() as patch:
        fail_on(patch, scores, "score_answer", 2)
        decoded = fail_on(patch, answer, "decode")
        first = lukv_bench(*command)
    assert first.code == 1
    assert len(decoded) == 4, "of two configurations, the one that keeps more is first and alone"
    assert counts(first.rows) == {"full": ("complete", 2, 0), "uniform": ("partial", 1, 1)}
    assert all(row["events"] == {} for row in first.rows)
    assert "uniform x keydiff @ 0.5 on niah_single_1 at 360: 1 of 2 answers: MemoryError" in first.err
    texts = stored_texts()
    assert len(texts) == 4
    with pytest.MonkeyPatch.context() as patch:
        fail_on(patch, scores, "score_answer", 1)
        still = lukv_bench(*command)
    assert still.code == 1
    assert counts(still.rows) == {"full": ("complete", 2, 0), "uniform": ("partial", 1, 1)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "read_context", lambda *_: pytest.fail("a prefill where only a score was missing"))
        again = lukv_bench(*command)
    assert again.code == 0
    assert counts(again.rows) == {"full": ("complete", 2, 0), "uniform": ("complete", 2, 0)}
    assert stored_texts() == texts


@pytest.mark.parametrize("score", [float("nan"), 1.5, -0.5])
def test_a_metric_out_of_range_fails_its_answer(tiny: Path, lukv_bench: Any, score: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "score_answer", lambda *_: score)
        ended = lukv_bench("run", "--model", tiny, "--allocator", "uniform", "--no-baselines", *COMMAND)
    assert ended.code == 1
    assert counts(ended.rows) == {"uniform": ("failed", 0, 2)}
    assert f"2 of 2 answers: ValueError: the metric of niah_single_1 gave {score}" in ended.err


def stored_texts() -> list[tuple[Any, ...]]:
    connection = sqlite3.connect("out.db")
    rows = connection.execute("SELECT cell_id, sample_id, text FROM answer ORDER BY cell_id, sample_id").fetchall()
    connection.close()
    return rows


def test_nothing_is_read_for_cells_whose_profile_could_not_be_made(
    tiny: Path, lukv_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmade(*_: Any) -> Any:
        raise PluginError("no profile today")

    monkeypatch.setattr(profiles, "obtain_profile", unmade)
    monkeypatch.setattr(worker, "read_context", lambda *_: pytest.fail("a prefill for cells that cannot be answered"))
    ended = lukv_bench("run", "--model", tiny, "--allocator", "lukv", "--no-baselines", *COMMAND)
    assert ended.code == 1
    assert counts(ended.rows) == {"lukv": ("failed", 0, 0)}
    assert ended.rows[0]["error"] == "PluginError: no profile today"
    assert "failed: lukv x keydiff @ 0.5 on niah_single_1 at 360: PluginError: no profile today" in ended.err
