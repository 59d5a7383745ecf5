"""Several runs of one command on one database: each answer is computed once, whatever becomes of the others."""

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lukv_bench.bench.run import answer, driver, worker
from lukv_bench.bench.samples.sample_set import SampleSet

from .forked import Forked, wait_until

CELLS, SAMPLES = 2, 4
Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def stopped(command: list[Any], fork: Callable[..., Forked], query: Query) -> Iterator[Forked]:
    """A run that holds claims and is suspended: alive, and at work on nothing."""
    process = fork(*command)
    try:
        wait_until(lambda: query("SELECT * FROM claim"), process)
        process.send_signal(signal.SIGSTOP)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def n_held(query: Query) -> Callable[[], int]:
    """Counts the claims of all runs."""
    return lambda: len(query("SELECT * FROM claim"))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every decoding of this process."""
    real, calls = answer.decode, []

    def decode(*arguments: Any) -> Any:
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(answer, "decode", decode)
    return calls


def on_first_wait(patch: pytest.MonkeyPatch, happens: Callable[[], None]) -> list[float]:
    """What happens when the loop begins to wait for another run; gives every wait."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            happens()
        time.sleep(0.05)

    patch.setattr(driver, "sleep", sleep)
    return waits


def test_a_run_leaves_to_another_what_it_holds_and_waits_for_it(
    command: list[Any],
    stopped: Forked,
    lukv_bench: Any,
    decoded: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    query: Query,
    n_held: Callable[[], int],
) -> None:
    held, there = n_held(), len(query("SELECT * FROM answer"))
    assert held > 0
    waits = on_first_wait(monkeypatch, lambda: stopped.send_signal(signal.SIGCONT))
    ended = lukv_bench(*command, "--json")
    _, err = stopped.communicate(timeout=60)
    assert (ended.code, stopped.returncode) == (0, 0)
    assert waits
    assert len(decoded) == CELLS * SAMPLES - there - held, "nothing is computed twice"
    assert f"{there + held} new answers" in err
    assert any(f"waiting for another run: {held} answers" in line for line in ended.progress)
    assert [(row["status"], row["n"]) for row in ended.rows] == [("complete", SAMPLES)] * CELLS
    assert n_held() == 0


def test_what_a_killed_run_held_is_taken_over_by_one_that_waits(
    command: list[Any],
    stopped: Forked,
    lukv_bench: Any,
    decoded: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    query: Query,
    n_held: Callable[[], int],
) -> None:
    def kill() -> None:
        stopped.send_signal(signal.SIGKILL)
        stopped.communicate(timeout=60)

    there = len(query("SELECT * FROM answer"))
    on_first_wait(monkeypatch, kill)
    ended = lukv_bench(*command, "--json")
    assert ended.code == 0
    assert len(decoded) == CELLS * SAMPLES - there
    assert [(row["status"], row["n"]) for row in ended.rows] == [("complete", SAMPLES)] * CELLS
    assert n_held() == 0


def test_a_sample_that_cannot_be_made_again_for_a_killed_runs_answers_fails_alone(
    command: list[Any],
    stopped: Forked,
    lukv_bench: Any,
    monkeypatch: pytest.MonkeyPatch,
    query: Query,
    n_held: Callable[[], int],
) -> None:
    def make(*_: Any) -> Any:
        raise MemoryError("no room for the sample")

    def kill() -> None:
        stopped.kill()
        stopped.wait()
        monkeypatch.setattr(SampleSet, "sample", make)

    on_first_wait(monkeypatch, kill)
    ended = lukv_bench(*command, "--json")
    assert ended.code == 1
    failed = query("SELECT error FROM answer WHERE status = 'failed'")
    assert failed
    assert set(failed) == {("MemoryError: no room for the sample",)}
    assert n_held() == 0


def test_a_run_that_waits_can_be_interrupted_and_holds_nothing(
    command: list[Any],
    stopped: Forked,
    lukv_bench: Any,
    monkeypatch: pytest.MonkeyPatch,
    n_held: Callable[[], int],
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    held = n_held()
    on_first_wait(monkeypatch, interrupt)
    assert lukv_bench(*command).code == 130
    assert n_held() == held


def test_a_failure_of_another_run_at_the_same_time_is_reported_and_not_repeated(
    command: list[Any], lukv_bench: Any, monkeypatch: pytest.MonkeyPatch, query: Query
) -> None:
    real, calls = worker.read_context, []

    def read_context(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:  # a second run of the same command, from begin to end, beside this one
            beside = lukv_bench(*command)
            assert beside.code == 1
        if len(calls) in (3, 4):
            raise MemoryError("no room")
        return real(*arguments)

    waited = on_first_wait(monkeypatch, lambda: None)
    monkeypatch.setattr(worker, "read_context", read_context)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lukv_bench.db.claims.is_running", lambda _: None)  # each is as if on another machine,
        patch.setattr("lukv_bench.db.claims.EXPIRY_S", -1.0)  # and does not wait for this one
        first = lukv_bench(*command)
    assert first.code == 1
    assert not waited
    assert len(calls) == 1 + SAMPLES, "each sample once, but for the one that was begun before"
    assert query("SELECT COUNT(*) FROM answer WHERE status = 'failed'") == [(CELLS * 2,)]
    assert sum("2 of 4 answers: MemoryError: no room" in line for line in first.sentences) == CELLS


def test_three_processes_share_the_work(command: list[Any], fork: Callable[..., Forked], query: Query) -> None:
    processes = [fork(*command) for _ in range(3)]
    ended = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], ended
    new = [int(err.split(" new answers")[0].split()[-1]) for err in ended]
    assert sum(new) == CELLS * SAMPLES
    assert query("SELECT COUNT(*), COUNT(DISTINCT cell_id || sample_id) FROM answer") == [(8, 8)]
    assert query("SELECT status FROM run") == [("finished",)] * 3
    assert query("SELECT COUNT(*) FROM cell WHERE score IS NOT NULL") == [(CELLS,)]
