"""What does it take to record an answer, over the same rows written with sqlite3 alone?

    python tests/benchmarks/put_answers.py [--answers N]

CPU milliseconds an answer of this process: ours is `Store.put_answer`, which also takes the lock, gives up the claim,
looks for an earlier answer and keeps the cell's score; bare inserts the same values and commits, into tables without
keys, checks or triggers: a limit that no store reaches.
"""

import argparse
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from lukv_bench.db.records import AnswerRecord, TimingRecord
from lukv_bench.db.schema import Cell, Configuration, Environment, Model, Sample
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

WRITTEN = ("answer", "timing", "answer_allocation")
KEEP_COUNTS = [[100, 300, 250, 150]] * 30


def make_plan(store: Store, n: int) -> str:
    """One cell that asks for `n` samples; returns a run's id."""
    configuration = Configuration(
        id="c" * 64,
        label="uniform x keydiff @ 0.8",
        model_revision="m",
        dtype="float32",
        attention="ragged-torch",
        protocol="agnostic",
        chat_form="none",
        truncation="refuse",
        allocator="uniform",
        scorer="keydiff",
        ratio="0.8",
        sink=4,
        schedule="one-shot",
        seed=0,
        code_version="benchmark",
        spec={},
    )
    place: dict[str, Any] = {"task": "niah", "task_version": "1", "length": 1024}
    hashes = {"prompt_hash": "p", "generation_hash": "g"}
    store.put(
        Model(revision="m", name="tiny", n_layers=30, n_kv_heads=4, n_query_heads=4, head_dim=8),
        configuration,
        Cell(id="cell", configuration_id=configuration.id, samples_asked=n, **place),
        *(Sample(id=f"s{i}", ordinal=i, **place, **hashes) for i in range(n)),
    )
    here = Environment(id="e", python="3", platform="linux", machine="here", packages={})
    return store.start_run(["benchmark"], here)


def answer(run_id: str, ordinal: int) -> AnswerRecord:
    """An answer as a run gives it."""
    return AnswerRecord(
        cell_id="cell",
        sample_id=f"s{ordinal}",
        run_id=run_id,
        text=f"The special magic number is {ordinal}.",
        score=float(ordinal % 2),
        stop_reason="eos",
        n_context_tokens=1000,
        n_question_tokens=20,
        n_generated_tokens=9,
        kv_tokens_full=120_000,
        kv_tokens_kept=24_000,
        kv_bytes_full=2**26,
        kv_bytes_kept=2**24,
        events=(),
        timing=TimingRecord(prefill_s=2.0, evict_s=0.5, ttft_s=2.75),
        keep_counts=KEEP_COUNTS,
    )


def bare_s(path: Path, n: int) -> float:
    """CPU seconds of writing the rows that are there into a copy of the tables, a transaction an answer."""
    with closing(sqlite3.connect(path)) as connection:
        rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in WRITTEN}
        for table in WRITTEN:
            connection.execute(f"CREATE TABLE bare_{table} AS SELECT * FROM {table} WHERE false")
        connection.commit()
        began = time.process_time()
        for at in range(n):
            for table, written in rows.items():
                marks = ", ".join("?" * len(written[at]))
                connection.execute(f"INSERT INTO bare_{table} VALUES ({marks})", written[at])
            connection.commit()
        return time.process_time() - began


def main() -> None:
    """Print both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=500, metavar="N")
    n = parser.parse_args().answers
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.db"
        with Store.open(resolve_url(str(path)), create=True) as store:
            run_id = make_plan(store, n)
            began = time.process_time()
            for ordinal in range(n):
                store.put_answer(answer(run_id, ordinal))
            ours = time.process_time() - began
        bare = bare_s(path, n)
    print(f"{1000 * ours / n:.2f} ms of CPU an answer, sqlite3 alone {1000 * bare / n:.2f} ms: {ours / bare:.1f}x")


if __name__ == "__main__":
    main()
