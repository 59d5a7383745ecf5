import io
import re
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, MetaData, Table, create_engine, insert, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

import lukv_bench.db
from lukv_bench import UserError
from lukv_bench.db import migrate
from lukv_bench.db.database import make_engine, writing_engine
from lukv_bench.db.identity import VERSION_TABLE, known_revisions
from lukv_bench.db.queries import results_frame
from lukv_bench.db.schema import Base
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows

_SCRIPTS = Path(lukv_bench.db.__file__).parent / "migrations"


def test_migrated_schema_is_the_models_schema(url: URL, store: Store) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []
        assert set(inspect(connection).get_table_names()) == {*Base.metadata.tables, VERSION_TABLE}
    engine.dispose()


def test_migrated_tables_have_the_same_sql(url: URL, store: Store) -> None:
    """Alembic compares no CHECK; the text of each table shows them too."""
    connection = sqlite3.connect(url.database)
    made = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    connection.close()
    for table in Base.metadata.sorted_tables:
        wanted = str(CreateTable(table).compile(dialect=sqlite.dialect()))
        assert _parts(made[table.name]) == _parts(wanted)


def _parts(sql: str) -> list[str]:
    """Columns and constraints of a CREATE TABLE, whose order says nothing."""
    body = sql[sql.index("(") + 1 : sql.rindex(")")]
    return sorted(part.strip() for part in re.split(r",(?![^(]*\))", body))


def test_revisions_are_a_line_that_their_file_names_tell() -> None:
    scripts = ScriptDirectory(str(_SCRIPTS))
    line = tuple(script.revision for script in reversed(list(scripts.walk_revisions())))
    assert known_revisions() == line
    assert scripts.get_heads() == [line[-1]]


def test_upgrade_is_idempotent(url: URL, rows: "Rows") -> None:
    with Store.open(url, create=True) as store:
        rows.put_all(store)
    dump = _dump(url)
    engine = _migrating_engine(url)
    migrate.upgrade(engine)
    engine.dispose()
    assert _dump(url) == dump


def _migrating_engine(url: URL) -> Engine:
    return writing_engine(make_engine(url, foreign_keys=False, pooled=False))


def _dump(url: URL) -> list[str]:
    connection = sqlite3.connect(url.database)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def make_old_database(url: URL, revision: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    """A database as an older lukv-bench left it."""
    engine = _migrating_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(_SCRIPTS))
        config.set_main_option("path_separator", "os")
        config.attributes["configure"] = {"connection": connection, "version_table": VERSION_TABLE}
        command.upgrade(config, revision)
        for name, table in _tables(connection).items():
            for row in rows.get(name, []):
                connection.execute(insert(table).values(row))
    engine.dispose()


def _tables(connection: Connection) -> dict[str, Table]:
    """The tables that are there, parents first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return {table.name: table for table in metadata.sorted_tables}


def _contents(url: URL, columns: dict[str, list[str]] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, of the columns named or of all."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {
            name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for name, table in _tables(connection).items()
            if name != VERSION_TABLE and (columns is None or name in columns)
        }
    engine.dispose()
    if columns is None:
        return found
    return {name: [{column: row[column] for column in columns[name]} for row in rows] for name, rows in found.items()}


_THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_CONFIGURATION = {
    "id": "uniform", "label": "uniform", "model_revision": "m", "dtype": "float32", "attention": "ragged-torch",
    "protocol": "agnostic", "chat_form": "plain", "truncation": "refuse", "allocator": "uniform",
    "allocator_args": {}, "scorer": "keydiff", "scorer_args": {}, "ratio": "0.8", "sink": 4, "window": 8,
    "schedule": "one-shot", "seed": 2**40, "code_version": "0.1.0+results.1", "spec": {"a": [1, None]},
}  # fmt: skip
_ANSWER = {"cell_id": "cell", "run_id": "killed", "created_at": _THEN, "events": []}
FIRST_SCHEMA: dict[str, list[dict[str, Any]]] = {
    "environment": [{"id": "e", "python": "3.11", "platform": "linux", "packages": {"torch": "2"}, "details": {}}],
    "model": [
        {
            "revision": "m", "name": "tiny", "n_layers": 2, "n_kv_heads": 2, "n_query_heads": 4, "head_dim": 8,
            "details": {},
        }
    ],
    "configuration": [_CONFIGURATION],
    "cell": [
        {
            "id": "cell", "configuration_id": "uniform", "task": "niah", "task_version": "1", "data_revision": "",
            "length": 1024, "samples_asked": 3,
        }
    ],
    "sample": [
        {
            "id": f"s{i}", "task": "niah", "task_version": "1", "length": 1024, "ordinal": i, "prompt_hash": "p",
            "generation_hash": "g",
        }
        for i in range(3)
    ],
    "run": [
        {"id": run, "started_at": _THEN, "command": ["run"], "environment_id": "e", "status": status, "exit_code": code}
        for run, status, code in (("killed", "running", None), ("stopped", "interrupted", 130), ("broke", "failed", 1))
    ],
    "answer": [
        _ANSWER | {"sample_id": "s0", "status": "done", "text": "first \u4e2d", "score": 1.0},
        _ANSWER | {"sample_id": "s1", "status": "failed", "error": "ValueError: NaN"},
    ],
    "timing": [{"answer_id": 1, "kind": "indicative", "prefill_s": 2.0}],
    "keep_counts": [{"answer_id": 1, "counts": [[1, 2], [3, 4]]}],
}  # fmt: skip
"""An interrupted history: of three samples one was answered, one failed, one was never tried."""


def test_a_database_of_the_first_schema_is_upgraded_whole(any_url: URL) -> None:
    make_old_database(any_url, "0001", FIRST_SCHEMA)
    before = _contents(any_url)
    assert {name for name, rows in before.items() if rows} == set(FIRST_SCHEMA)
    Store.open(any_url, create=True).close()
    columns = {name: list(rows[0]) for name, rows in before.items() if rows}
    assert _contents(any_url, columns) == {name: before[name] for name in columns}
    after = _contents(any_url)
    assert {(row["facets"], row["reference_answers"]) for row in after["sample"]} == {(None, None)}
    assert {(row["heartbeat_at"], row["pid"], row["pid_space"], row["pid_start"]) for row in after["run"]} == {
        (None, None, None, None)
    }
    assert after["claim"] == []


def test_an_upgraded_database_resumes_and_repeats_nothing(any_url: URL, rows: "Rows") -> None:
    make_old_database(any_url, "0001", FIRST_SCHEMA)
    with Store.open(any_url, create=True) as store:
        row = results_frame(store).iloc[0]
        assert (row["status"], row["n"], row["n_failed"], row["error"]) == ("partial", 1, 1, "ValueError: NaN")
        store.put(*rows.samples(3, facets={"bucket": "4-8k"}, reference_answers=["blue"]))
        run = store.start_run(["run"], rows.environment)
        assert store.done_samples("cell") == {"s0"}
        for ordinal in (1, 2):
            assert store.put_answer(rows.answer(run, ordinal))
        assert results_frame(store)["status"].tolist() == ["complete"]
        assert store.answers("cell")[0].text == "first \u4e2d"
    filled = _contents(any_url)["sample"]
    assert [(row["facets"], row["reference_answers"]) for row in filled] == [({"bucket": "4-8k"}, ["blue"])] * 3


def test_older_database_is_upgraded_by_writers_and_refused_by_readers(any_url: URL) -> None:
    make_old_database(any_url, "0001", FIRST_SCHEMA)
    with pytest.raises(UserError, match="older lukv-bench"):
        Store.open(any_url, create=False)
    Store.open(any_url, create=True).close()
    Store.open(any_url, create=False).close()


def test_failed_migration_changes_nothing(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE half_done (id INTEGER)")
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(migrate, "_run_scripts", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            Store.open(url, create=True)
    assert _dump(url) == ["BEGIN TRANSACTION;", "COMMIT;"]
    Store.open(url, create=True).close()


def test_postgresql_gets_the_same_tables() -> None:
    """Nothing is connected to: the migrations are written out as SQL, and compared with the models' own."""
    out = io.StringIO()
    config = Config(output_buffer=out)
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.attributes["configure"] = {"dialect_name": "postgresql", "version_table": VERSION_TABLE}
    command.upgrade(config, "head", sql=True)
    made = dict(re.findall(r"CREATE TABLE (\w+) (\(\n.*?\n\));", out.getvalue(), flags=re.DOTALL))
    added: dict[str, list[str]] = {}
    for name, column in re.findall(r"ALTER TABLE (\w+) ADD COLUMN (.*?);", out.getvalue()):
        added.setdefault(name, []).append(column)
    for table in Base.metadata.sorted_tables:
        wanted = str(CreateTable(table).compile(dialect=postgresql.dialect()))
        assert sorted(_parts(made[table.name]) + added.get(table.name, [])) == _parts(wanted)
