"""How a run ends when something outside ends it: what it had is kept, and the record says what happened."""

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.run import answer

from .forked import Forked, wait_until

SAMPLES = 4
Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def alone(command: list[Any]) -> list[Any]:
    """One configuration."""
    return [*command, "--no-baselines"]


@pytest.fixture
def brief(alone: list[Any], slow: Path, tiny: Path) -> list[Any]:
    """The same with a model whose answers are short, where nothing has to be hit while it works."""
    return [tiny if word == slow else word for word in alone]


def wait_for_answers(n: int, process: Forked, query: Query) -> None:
    wait_until(lambda: len(query("SELECT id FROM answer")) >= n, process)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_to_end_loses_nothing_and_is_on_record(
    alone: list[Any], fork: Callable[..., Forked], lukv_bench: Any, query: Query, sent: signal.Signals, code: int
) -> None:
    process = fork(*alone)
    wait_for_answers(1, process, query)
    process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    stored = len(query("SELECT id FROM answer"))
    assert f"interrupted: {stored} of {SAMPLES} answers are stored; run the same command again to continue." in err
    assert query("SELECT status, exit_code, finished_at IS NULL FROM run") == [("interrupted", code, 0)]
    assert query("SELECT * FROM claim") == []
    again = lukv_bench(*alone, "--json")
    assert again.code == 0
    assert f"{SAMPLES - stored} new answers" in again.err


def delete() -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"out.db{end}").unlink(missing_ok=True)


def move() -> None:
    Path("out.db").rename("elsewhere.db")


def replace() -> None:
    Path("other.db").write_bytes(Path("out.db").read_bytes())
    os.replace("other.db", "out.db")


@pytest.mark.parametrize("happens", [delete, move, replace])
@pytest.mark.parametrize("at", [2, SAMPLES])
def test_a_database_that_goes_away_under_a_run_is_noticed(
    brief: list[Any], lukv_bench: Any, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None], at: int
) -> None:
    real, calls = answer.decode, []

    def decode(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == at:
            happens()
        return real(*arguments)

    monkeypatch.setattr(answer, "decode", decode)
    ended = lukv_bench(*brief)
    assert ended.code == 1
    assert ended.out == ""
    context, sentence = ended.sentences
    assert context.startswith("--length")
    assert "out.db was deleted, moved or replaced while it was in use" in sentence
    assert len(calls) == at, "nothing is computed for a database that is not there"
    assert Path("out.db").exists() == (happens is replace)


@pytest.mark.parametrize("table", ["run", "cell"])
def test_rows_that_somebody_deletes_under_a_run_are_named(
    brief: list[Any], lukv_bench: Any, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    real, calls = answer.decode, []

    def decode(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            connection = sqlite3.connect("out.db", isolation_level=None)
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("DELETE FROM answer")
            connection.execute(f"DELETE FROM {table}")
            connection.close()
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(answer, "decode", decode)
        ended = lukv_bench(*brief)
    assert (ended.code, ended.out) == (1, "")
    context, sentence = ended.sentences
    assert context.startswith("--length")
    assert f"There is no {table} " in sentence
    again = lukv_bench(*brief, "--json")
    assert again.code == 0
    assert [(row["status"], row["n"]) for row in again.rows] == [("complete", SAMPLES)]
