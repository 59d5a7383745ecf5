"""Runs whose samples are answered by processes: the same rows as in one process, whatever becomes of a worker."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.run.executors import local
from lukv_bench.bench.run.executors.choice import PROCESS_NAME
from lukv_bench.db.store import Store

from .forked import Forked, start_server, wait_until

Query = Callable[[str], list[tuple[Any, ...]]]
ANSWERS = "SELECT cell_id, sample_id, status, text, score, kv_bytes_kept FROM answer ORDER BY cell_id, sample_id"


@pytest.fixture(scope="module")
def run(tiny: Path) -> list[Any]:
    options = ["run", "--model", tiny, "--allocator", "uniform,adakv", "--ratio", "0.5", "--length", "400"]
    return [*options, "--tasks", "niah_single_1", "--limit", 3, "--db", "out.db"]


@pytest.fixture
def ready_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that need not import torch."""
    start_server()
    monkeypatch.setattr(local, "START_METHOD", "forkserver")


def workers() -> list[Any]:
    return [child for child in multiprocessing.active_children() if child.name.startswith(PROCESS_NAME)]


def test_workers_answer_as_one_process_does_and_one_that_is_killed_costs_nothing(
    run: list[Any], ready_libraries: None, lukv_bench: Any, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, killed = Store.put_answer, []

    def put_answer(self: Store, *arguments: Any, **more: Any) -> bool:
        if not killed:
            (worker, *_) = workers()
            os.kill(worker.pid, signal.SIGKILL)
            killed.append(worker.pid)
        return real(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put_answer", put_answer)
        ended = lukv_bench(*run, "--executor", "local", "--workers", 2, "--json")
    assert ended.code == 0, ended.err
    assert killed
    assert not workers()
    spread = query(ANSWERS)
    Path("out.db").unlink()
    assert lukv_bench(*run).code == 0
    assert query(ANSWERS) == spread
    assert len(spread) == 3 * 3


def children_of(pid: int) -> set[int]:
    """Worker and multiprocessing's resource tracker."""
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def is_there(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def slow_run(run: list[Any], tiny: Path, slow: Path) -> list[Any]:
    options = [slow if word == tiny else word for word in run]
    return [*options, "--executor", "local", "--workers", 1]


@pytest.fixture
def at_work(slow_run: list[Any], fork: Callable[..., Forked], query: Query) -> Iterator[tuple[Forked, set[int]]]:
    """A run whose worker has given an answer, and the processes below it."""
    process = fork(*slow_run, daemon=False)
    try:
        wait_until(lambda: query("SELECT * FROM answer"), process, within_s=300)
        yield process, children_of(process.pid)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_workers_end_with_their_run_however_it_ends(
    at_work: tuple[Forked, set[int]], sent: signal.Signals, code: int
) -> None:
    process, below = at_work
    assert below
    process.send_signal(sent)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert "Traceback" not in err
    until = time.monotonic() + 60
    while any(map(is_there, below)):
        assert time.monotonic() < until, "a worker stayed behind"
        time.sleep(0.02)


def test_a_script_that_is_not_guarded_is_told_so(run: list[Any], home: Path) -> None:
    script = Path("script.py")
    script.write_text(
        "import lukv_bench\n"
        f"lukv_bench.run(model={str(run[2])!r}, allocator='uniform', ratio=0.5, length=400, tasks='niah_single_1', "
        "limit=1, db='out.db', executor='local', workers=1)\n"
    )
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 1
    assert 'put its calls below `if __name__ == "__main__":`' in ended.stderr
    assert "no worker can start" in ended.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--executor", "locall"], ["--executor is local or ray, not 'locall'"]),
        (["--workers", "2"], ["--workers goes with --executor"]),
        (["--executor", "local", "--workers", "0"], ["--workers takes a number from 1 to 1024, not 0"]),
        (["--executor", "local", "--address", "auto"], ["--address", "--executor ray"]),
        (["--executor", "local", "--device", "auto"], ["--device auto puts one model on all GPUs", "--executor local"]),
        (["--executor", "ray", "--address", " "], ["--address is empty"]),
        (["--shard", "3/2"], ["--shard takes a part and the number of parts, such as 2/8", "'3/2'"]),
        (["--shard", "0/2"], ["--shard", "'0/2'"]),
        (["--shard", "1"], ["--shard", "'1'"]),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    run: list[Any], refused: Callable[..., str], options: list[str], words: list[str]
) -> None:
    refused([*run, *options], *words)


def test_ray_that_is_not_installed_is_named(
    run: list[Any], refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lukv_bench.bench.run.executors.choice.find_spec", lambda _: None)
    refused([*run, "--executor", "ray"], "needs Ray, which is not installed", "pip install 'lukv-bench[ray]'")


def test_shards_hold_each_sample_once_and_make_the_cells_whole_together(
    run: list[Any], lukv_bench: Any, query: Query
) -> None:
    seen = []
    for index in (1, 2):
        before = query(ANSWERS)
        ended = lukv_bench(*run, "--shard", f"{index}/2", "--json")
        assert ended.code == 0
        seen.append(len(query(ANSWERS)) - len(before))
        assert {row["status"] for row in ended.rows} == {"partial" if index == 1 else "complete"}
        assert f"{seen[-1]} new answers" in ended.err
    assert sorted(seen) == [3, 6], "three samples for three cells"
