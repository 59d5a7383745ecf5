"""What a process of its own does to a database in the tests: `worker.py WHAT ARGUMENT...`.

It waits for a line on its input before it starts, so that several start at once.
"""

import sys

from sqlalchemy import select, update

from lukv_bench.db.records import AnswerRecord
from lukv_bench.db.schema import Cell, Environment
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url


def increment(path: str, times: str) -> None:
    """Read a number, then write one more, many times."""
    with Store.open(resolve_url(path), create=False) as store:
        for _ in range(int(times)):
            with store.writing() as connection:
                asked = connection.scalar(select(Cell.samples_asked).where(Cell.id == "cell")) or 0
                connection.execute(update(Cell).where(Cell.id == "cell").values(samples_asked=asked + 1))


def answer(path: str, run: str, n: str) -> None:
    """Put answers, and say each one's sample once it is stored."""
    with Store.open(resolve_url(path), create=True) as store:
        for i in range(int(n)):
            text = f"{i} " * 2000  # several pages, so that a kill may fall between two of them
            if store.put_answer(AnswerRecord(cell_id="cell", sample_id=f"s{i}", run_id=run, text=text, score=1.0)):
                print(f"s{i}", flush=True)


def share(url: str, n: str) -> None:
    """Run as one of several: claim, compute, put; say each sample that was computed here."""
    environment = Environment(id="e", python="3.11", platform="linux", machine="a desktop")
    with Store.open(resolve_url(url), create=True) as store:
        run = store.start_run(["run"], environment)
        for i in range(int(n)):
            if store.claim(run, f"s{i}", ["cell"]).granted:
                print(f"s{i}", flush=True)
                store.put_answer(AnswerRecord(cell_id="cell", sample_id=f"s{i}", run_id=run, text="x", score=1.0))
        store.finish_run(run, 0)


def create(*paths: str) -> None:
    """Open databases that nobody has made yet, each at a word."""
    for path in paths:
        Store.open(resolve_url(path), create=True).close()
        print("made", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    {"increment": increment, "answer": answer, "create": create, "share": share}[sys.argv[1]](*sys.argv[2:])
