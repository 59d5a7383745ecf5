"""Real processes: none loses what another wrote, and none loses what it had said was stored."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, select, update

from lukv_bench.db.database import Database
from lukv_bench.db.queries import results_frame
from lukv_bench.db.schema import Cell
from lukv_bench.db.store import Store
from lukv_bench.db.urls import check_writable

if TYPE_CHECKING:
    from .conftest import Rows

_WORKER = Path(__file__).with_name("worker.py")


def _start(n: int, *arguments: str, cwd: Path) -> list[subprocess.Popen[str]]:
    """Processes that have imported everything and wait for a word."""
    workers = [
        subprocess.Popen(
            [sys.executable, str(_WORKER), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=cwd,
        )
        for _ in range(n)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    return workers


def _go(*workers: subprocess.Popen[str]) -> None:
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()


def _end(*workers: subprocess.Popen[str]) -> None:
    for worker in workers:
        worker.communicate(timeout=60)
        assert worker.returncode == 0


def test_read_then_write_loses_no_update(url: URL, store: Store, rows: "Rows", tmp_path: Path) -> None:
    rows.put_all(store, samples=0)
    workers = _start(3, "increment", url.database, "100", cwd=tmp_path)
    _go(*workers)
    _end(*workers)
    assert results_frame(store)["samples_asked"].tolist() == [300]


def test_two_processes_make_the_same_database(url: URL, tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{turn}.db") for turn in range(8)]
    workers = _start(2, "create", *paths, cwd=tmp_path)
    for _ in paths:
        _go(*workers)
        assert [worker.stdout.readline() for worker in workers] == ["made\n"] * 2
    _end(*workers)
    for path in paths:
        with Store.open(url.set(database=path), create=False) as store:
            assert results_frame(store).empty


def test_killed_writer_loses_no_answer_that_was_stored(url: URL, rows: "Rows", tmp_path: Path) -> None:
    with Store.open(url, create=True) as store:
        run = rows.put_all(store, samples=900, n_samples=900)
    said: set[str] = set()
    workers = _start(3, "answer", url.database, run, "900", cwd=tmp_path)
    for worker, delay in zip(workers, (0.02, 0.11, 0.05), strict=True):
        _go(worker)
        said.add(worker.stdout.readline().strip())  # it is at work
        time.sleep(delay)
        assert worker.poll() is None
        os.kill(worker.pid, signal.SIGKILL)
        said.update(worker.communicate(timeout=60)[0].split())
        assert worker.returncode == -signal.SIGKILL
    _check_leaves_no_trace(url)
    with Store.open(url, create=True) as store:
        done = {f"s{ordinal}" for ordinal in store.done_ordinals(["cell"]).get("cell", ())}
        assert said <= done
        assert len(done - said) <= 3  # stored, and killed before it could say so
        assert [answer.text for answer in rows.stored(store)] == [f"{i} " * 2000 for i in range(len(done))]
        assert store.put_answer(rows.answer(run, 899))
    with sqlite3.connect(url.database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def _check_leaves_no_trace(url: URL) -> None:
    """Looking at what a killed process left must not change a byte of it."""
    files = [Path(url.database + ending) for ending in ("", "-wal", "-shm")]
    before = [path.read_bytes() for path in files]
    check_writable(url)
    assert [path.read_bytes() for path in files[:2]] == before[:2]
    assert sorted(files[0].parent.glob("results.db*")) == sorted(files)


def test_reader_and_writer_do_not_wait_for_each_other(url: URL, store: Store, rows: "Rows") -> None:
    rows.put_all(store, samples=1)
    with Store.open(url, create=False) as reader, store.writing() as writing:
        writing.execute(update(Cell).values(samples_asked=7))
        check_writable(url)
        started = time.monotonic()
        assert results_frame(reader)["samples_asked"].tolist() == [1]
        assert time.monotonic() - started < 5
    assert results_frame(store)["samples_asked"].tolist() == [7]


def test_open_reader_does_not_hold_up_a_writer(url: URL, store: Store, rows: "Rows") -> None:
    rows.put_all(store, samples=1)
    with Store.open(url, create=False) as reader, reader.reading() as reading:
        asked = select(Cell.samples_asked)
        assert reading.scalar(asked) == 1
        store.put(rows.cell(samples=7))
        assert reading.scalar(asked) == 1  # one state of the database throughout
    assert results_frame(store)["samples_asked"].tolist() == [7]


def test_published_file_can_be_read_without_changing_it(url: URL, rows: "Rows") -> None:
    """A closed database is in DELETE mode, which readers leave; the first write turns WAL on."""
    with Store.open(url, create=True) as store:
        rows.put_all(store)
        assert _pragma(url, "journal_mode") == "wal"
    assert [path.name for path in Path(url.database).parent.glob("results.db*")] == ["results.db"]
    before = Path(url.database).read_bytes()
    with Store.open(url, create=False) as store:
        assert len(results_frame(store)) == 1
        check_writable(url)
        assert Path(url.database).read_bytes() == before
        store.put(rows.cell(samples=9))
        assert _pragma(url, "journal_mode") == "wal"
    assert _pragma(url, "journal_mode") == "delete"


def test_the_last_to_close_turns_wal_off(url: URL, rows: "Rows") -> None:
    with Store.open(url, create=True) as first, Store.open(url, create=True) as second:
        rows.put_all(first)
        second.put(rows.cell(samples=9))
        first.close()
        assert _pragma(url, "journal_mode") == "wal"
        second.put(rows.cell(samples=10))
    assert _pragma(url, "journal_mode") == "delete"


def test_writing_is_undone_by_any_exception(store: Store, rows: "Rows") -> None:
    rows.put_all(store, samples=1)
    with suppress(KeyboardInterrupt), store.writing() as connection:
        connection.execute(update(Cell).values(samples_asked=7))
        raise KeyboardInterrupt
    assert results_frame(store)["samples_asked"].tolist() == [1]


def test_looking_at_a_file_keeps_this_process_locks(url: URL, store: Store, rows: "Rows") -> None:
    """A file descriptor closed on a SQLite file would drop the lock of a transaction in the same process."""
    rows.put_all(store, samples=1)
    with store.writing() as connection:
        connection.execute(update(Cell).values(samples_asked=7))
        check_writable(url)
        other = subprocess.run(
            [sys.executable, "-c", _TRY_TO_WRITE, url.database], capture_output=True, text=True, check=False
        )
        assert "locked" in other.stderr
    with Database(url).reading() as connection:
        assert connection.scalar(select(Cell.samples_asked)) == 7


_TRY_TO_WRITE = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
"""


def _pragma(url: URL, text: str) -> str:
    connection = sqlite3.connect(url.database)
    try:
        return connection.execute(f"PRAGMA {text}").fetchone()[0]
    finally:
        connection.close()
