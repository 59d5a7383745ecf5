"""`run --executor ray`: workers on a cluster and PostgreSQL give the rows of one process and SQLite."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text

from lukv_bench.db.store import Store

from ...db.conftest import database_on, server
from .own_questions import write_questions

__all__ = ["server"]

Query = Callable[[str], list[tuple[Any, ...]]]
ANSWERS = "SELECT cell_id, sample_id, status, text, score, kv_bytes_kept FROM answer ORDER BY cell_id, sample_id"


def actors() -> list[int]:
    """Processes of workers on a cluster of this machine."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::Actor" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_a_cluster_and_a_server_give_the_rows_of_one_process_also_where_a_worker_is_killed(
    tiny: Path, lukv_bench: Any, query: Query, server: URL, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """Of own documents: two contexts with several questions each, whose answers share a worker, and one with one."""
    data = write_questions(Path("notes.jsonl"), (3, 1, 2))
    command = ["run", "--model", tiny, "--data", data, "--allocator", "uniform,adakv", "--ratio", "0.5"]
    assert lukv_bench(*command, "--db", "out.db").code == 0
    alone = query(ANSWERS)
    assert len(alone) == 6 * 3
    (home / "work" / "kernels.py").write_text("raise ImportError('a folder of the user, not the package of this name')")

    real, killed = Store.put_answer, []

    def put_answer(self: Store, *arguments: Any, **more: Any) -> bool:
        if not killed:
            killed.append(actors()[0])
            os.kill(killed[0], signal.SIGKILL)
        return real(self, *arguments, **more)

    monkeypatch.setattr(Store, "put_answer", put_answer)
    handler = signal.getsignal(signal.SIGTERM)
    with database_on(server) as url:
        database = url.render_as_string(hide_password=False)
        ended = lukv_bench(*command, "--db", database, "--executor", "ray", "--workers", 2, "--json")
        engine = create_engine(url)
        with engine.connect() as connection:
            spread = [tuple(row) for row in connection.execute(text(ANSWERS))]
        engine.dispose()
    assert ended.code == 0, ended.err
    assert killed
    assert signal.getsignal(signal.SIGTERM) is handler
    assert sorted(spread) == sorted(alone)
    assert {row["status"] for row in ended.rows} == {"complete"}
