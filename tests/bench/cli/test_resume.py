"""A run that is cut short, and the same command again: nothing lost, nothing repeated."""

import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.run import answer, worker

from .forked import Forked, wait_until

SHORT = ("--tasks", "niah_single_1", "--length", "360")

CELLS, SAMPLES = 2, 5


def answers(database: Path) -> list[tuple[Any, ...]]:
    """Every answer in the order it came: identity, moment, content, run."""
    if not database.exists():
        return []
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(
            "SELECT id, created_at, cell_id, sample_id, text, score, run_id FROM answer ORDER BY id"
        ).fetchall()
    except sqlite3.OperationalError:  # not migrated yet
        return []
    finally:
        connection.close()


def runs(database: Path) -> list[tuple[str, int | None]]:
    connection = sqlite3.connect(database)
    found = connection.execute("SELECT status, exit_code FROM run ORDER BY started_at").fetchall()
    connection.close()
    return found


def pairs(rows: list[tuple[Any, ...]]) -> set[tuple[str, str]]:
    return {(row[2], row[3]) for row in rows}


def wait_for(database: Path, count: int, process: Forked) -> None:
    wait_until(lambda: len(answers(database)) >= count, process)


@dataclass(frozen=True)
class History:
    """One command, killed, then interrupted, then left alone twice; the answers after each."""

    killed: list[tuple[Any, ...]]
    interrupted: list[tuple[Any, ...]]
    interrupted_code: int
    interrupted_err: str
    finished: list[tuple[Any, ...]]
    finished_err: str
    finished_rows: list[dict[str, Any]]
    again: list[tuple[Any, ...]]
    again_code: int
    again_err: str
    again_rows: list[dict[str, Any]]
    runs: list[tuple[str, int | None]]


@pytest.fixture(scope="module")
def history(
    slow: Path, lukv_bench: Any, fork: Callable[..., Forked], tmp_path_factory: pytest.TempPathFactory
) -> History:
    database = tmp_path_factory.mktemp("resume") / "out.db"
    command = ["run", "--model", slow, "--allocator", "uniform", "--ratio", "0.5", "--length", "700"]
    command += ["--tasks", "niah_single_1"]
    command += ["--limit", SAMPLES, "--db", database]

    process = fork(*command)
    wait_for(database, 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed = answers(database)

    process = fork(*command)
    wait_for(database, len(killed) + 2, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    interrupted = answers(database)

    finished = lukv_bench(*command, "--json")
    after = answers(database)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "read_context", lambda *_: pytest.fail("a prefill with nothing to do"))
        again = lukv_bench(*command, "--json")
    return History(
        killed=killed,
        interrupted=interrupted,
        interrupted_code=process.returncode,
        interrupted_err=err,
        finished=after,
        finished_err=finished.err,
        finished_rows=finished.rows,
        again=answers(database),
        again_code=again.code,
        again_err=again.err,
        again_rows=again.rows,
        runs=runs(database),
    )


def test_a_killed_run_leaves_the_answers_it_had(history: History) -> None:
    assert 2 <= len(history.killed) < CELLS * SAMPLES
    assert all(text for *_, text, _, _ in history.killed)


def test_the_same_command_goes_on_after_a_kill(history: History) -> None:
    assert history.interrupted[: len(history.killed)] == history.killed
    assert len(history.interrupted) > len(history.killed)
    assert len(pairs(history.interrupted)) == len(history.interrupted)


def test_ctrl_c_gives_130_with_a_message_and_no_traceback(history: History) -> None:
    assert history.interrupted_code == 130
    assert "Traceback" not in history.interrupted_err
    context, message = [line for line in history.interrupted_err.splitlines() if not line.startswith("[")]
    assert context.startswith("--length")
    assert "run the same command again to continue" in message


def test_the_same_command_finishes_what_is_missing_and_repeats_nothing(history: History) -> None:
    assert len(history.interrupted) < CELLS * SAMPLES
    assert history.finished[: len(history.interrupted)] == history.interrupted
    assert len(history.finished) == len(pairs(history.finished)) == CELLS * SAMPLES
    assert f"{CELLS * SAMPLES - len(history.interrupted)} new answers" in history.finished_err
    assert [(row["status"], row["n"]) for row in history.finished_rows] == [("complete", SAMPLES)] * CELLS


def test_the_same_command_once_more_does_nothing(history: History) -> None:
    assert history.again_code == 0
    assert "0 new answers" in history.again_err
    assert "prefill" not in history.again_err
    assert history.again == history.finished
    assert history.again_rows == history.finished_rows


def test_every_run_says_how_it_ended(history: History) -> None:
    assert history.runs == [("interrupted", None), ("interrupted", 130), ("finished", 0), ("finished", 0)]


@pytest.fixture
def run(lukv_bench: Any, defaults: Callable[..., list[object]], tiny: Path) -> Callable[..., Any]:
    base = ("--model", tiny, *SHORT, "--ratio", "0.5", "--db", "out.db", "--allocator", "uniform")
    return lambda *arguments: lukv_bench("run", *defaults(base, arguments), *arguments, "--json")


def test_more_samples_make_a_cell_partial_until_they_are_there(
    run: Callable[..., Any], lukv_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = run("--no-baselines", "--limit", "2")
    assert [(row["status"], row["n"]) for row in few.rows] == [("complete", 2)]
    first = answers(Path("out.db"))
    real, calls = answer.decode, []

    def decode_once(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(answer, "decode", decode_once)
        assert run("--no-baselines", "--limit", "4").code == 130
    between = answers(Path("out.db"))
    assert between[:2] == first
    assert len(between) == 3
    (row,) = lukv_bench("results", "--db", "out.db", "--json").rows
    assert (row["status"], row["n"], row["score"], row["kv_bytes_kept"]) == ("partial", 3, None, None)
    assert row["cell"] == few.rows[0]["cell"]
    more = run("--no-baselines", "--limit", "4")
    assert "1 new answers" in more.err
    assert answers(Path("out.db"))[:3] == between
    (row,) = more.rows
    assert (row["cell"], row["status"], row["n"]) == (few.rows[0]["cell"], "complete", 4)


def test_fewer_samples_change_nothing(run: Callable[..., Any], lukv_bench: Any) -> None:
    run("--limit", "3")
    before = lukv_bench("results", "--db", "out.db", "--json").rows
    ended = run("--limit", "1")
    assert ended.code == 0
    assert "0 new answers" in ended.err
    assert lukv_bench("results", "--db", "out.db", "--json").rows == before


def test_more_samples_begin_with_those_of_fewer(run: Callable[..., Any], lukv_bench: Any, tiny: Path) -> None:
    run("--no-baselines", "--limit", "1")
    lukv_bench(*("run", "--model", tiny, *SHORT, "--ratio", "0.5", "--db", "more.db"),
               *("--allocator", "uniform", "--no-baselines", "--limit", "3"))  # fmt: skip
    one, three = answers(Path("out.db")), answers(Path("more.db"))
    assert [row[2:5] for row in one] == [row[2:5] for row in three[:1]]


def test_ctrl_c_while_loading_says_so(start: Any, tiny: Path) -> None:
    process = start("run", "--model", tiny, "--db", "out.db")
    for line in process.stderr:
        if "loading" in line:
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert "interrupted" in err
    assert not Path("out.db").exists()


def test_an_answer_refused_by_a_full_disk_is_a_sentence_and_exit_1(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lukv_bench.db.errors import StoreError
    from lukv_bench.db.store import Store

    def full(*_: Any) -> bool:
        raise StoreError("The database out.db failed: database or disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put_answer", full)
        patch.setattr(Store, "finish_run", full)
        ended = run("--limit", "1")
    assert ended.code == 1
    assert ended.out == ""
    assert "Traceback" not in ended.err
    context, sentence = ended.sentences
    assert context.startswith("--length")
    assert sentence == "lukv-bench: The database out.db failed: database or disk is full."


ROPE = {"rope_theta": 50.0, "rope_type": "default"}


@pytest.mark.parametrize(
    ("file", "values"),
    [
        pytest.param("config.json", {"rope_parameters": ROPE}, id="rotary-base"),
        pytest.param("config.json", {"rms_norm_eps": 0.5}, id="norm"),
        pytest.param("generation_config.json", {"eos_token_id": list(range(3000, 4000))}, id="end-of-answer"),
    ],
)  # fmt: skip
def test_the_same_weights_under_other_settings_are_another_model(
    run: Callable[..., Any],
    lukv_bench: Any,
    copy_of: Callable[[str], Path],
    change: Callable[..., None],
    file: str,
    values: dict[str, Any],
) -> None:
    """YaRN, for one, is switched on by editing config.json. The same id would mean: same result."""
    first = run("--no-baselines", "--limit", "1")
    folder = copy_of("edited")
    change(folder / file, **values)
    second = run("--no-baselines", "--limit", "1", "--model", folder)
    assert second.code == 0
    assert second.rows[0]["cell"] != first.rows[0]["cell"]
    assert "1 new answers" in second.err


def test_a_model_folder_that_moved_is_the_same_model(run: Callable[..., Any], tiny: Path, home: Path) -> None:
    first = run("--no-baselines", "--limit", "1")
    shutil.copytree(tiny, home / "elsewhere")
    second = run("--no-baselines", "--limit", "1", "--model", home / "elsewhere")
    assert "0 new answers" in second.err
    assert second.rows[0]["cell"] == first.rows[0]["cell"]
