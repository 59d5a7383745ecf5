import io
import json
import re
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
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
from lukv_bench.db.identity import VERSION_TABLE, schema_revisions
from lukv_bench.db.queries import results_frame
from lukv_bench.db.schema import Base
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows

_FIXTURES = Path(__file__).parent / "fixtures"
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
    assert schema_revisions() == line
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


def assert_nothing_lost(before: dict[str, list[dict[str, Any]]], url: URL) -> None:
    """Every row of an older database, column by column, its keep counts through their new home."""
    columns = {name: list(rows[0]) for name, rows in before.items() if rows and name != "keep_counts"}
    kept, after = _contents(url, columns), _contents(url)
    for old, new in zip(before["cell"], kept["cell"], strict=True):
        if old["score"] is None:  # one that is answered whole is scored
            new |= {name: old[name] for name in ("score", "stderr", "error") if name in old}
    assert kept == {name: before[name] for name in columns}
    counts = {row["id"]: row["counts"] for row in after["allocation"]}
    moved = [
        {"answer_id": row["answer_id"], "counts": counts[row["allocation_id"]]} for row in after["answer_allocation"]
    ]
    assert moved == before["keep_counts"]
    assert len({json.dumps(each) for each in counts.values()}) == len(counts)


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
    assert_nothing_lost(before, any_url)
    after = _contents(any_url)
    assert {row["machine"] for row in after["environment"]} == {"linux"}
    assert {(row["facets"], row["reference_answers"]) for row in after["sample"]} == {(None, None)}
    assert {(row["heartbeat_at"], row["pid"], row["pid_space"], row["pid_start"]) for row in after["run"]} == {
        (None, None, None, None)
    }
    assert after["claim"] == []


def test_the_profile_of_an_inner_plugin_is_carried_over_as_its_own(url: URL) -> None:
    held = {"of": {"name": "lukv", "arguments": {"profile": ""}, "distribution": "lukv-bench", "version": "0.1.0"}}
    shuffled = {"id": "shuffled", "allocator": "shuffled", "allocator_args": held, "profile_hash": "p"}
    profiles = [{"hash": "p", "model_revision": "m", "details": {}}]
    rows = FIRST_SCHEMA | {"profile": profiles, "configuration": [_CONFIGURATION, _CONFIGURATION | shuffled]}
    make_old_database(url, "0001", rows)
    Store.open(url, create=True).close()
    assert _contents(url)["configuration_profile"] == [
        {"configuration_id": "shuffled", "role": "allocator.of", "plugin": "lukv", "profile_hash": "p"}
    ]


def test_an_upgraded_database_resumes_and_repeats_nothing(any_url: URL, rows: "Rows") -> None:
    make_old_database(any_url, "0001", FIRST_SCHEMA)
    with Store.open(any_url, create=True) as store:
        row = results_frame(store).iloc[0]
        assert (row["status"], row["n"], row["n_failed"], row["error"]) == ("partial", 1, 1, "ValueError: NaN")
        store.put(*rows.samples(3, facets={"bucket": "4-8k"}, reference_answers=["blue"]))
        run = store.start_run(["run"], rows.environment)
        assert store.done_ordinals(["cell"]) == {"cell": {0}}
        for ordinal in (1, 2):
            assert store.put_answer(rows.answer(run, ordinal))
        assert results_frame(store)["status"].tolist() == ["complete"]
        assert rows.stored(store)[0].text == "first \u4e2d"
    filled = _contents(any_url)["sample"]
    assert [(row["facets"], row["reference_answers"]) for row in filled] == [({"bucket": "4-8k"}, ["blue"])] * 3


@pytest.fixture(params=["finished", "failed", "stopped"])
def released(request: pytest.FixtureRequest, url: URL) -> tuple[str, URL]:
    """A copy of a database that fixtures/make.py made with the last version of schema 0002."""
    shutil.copy(_FIXTURES / f"{request.param}.db", str(url.database))
    return request.param, url


def test_a_released_database_loses_nothing(released: tuple[str, URL]) -> None:
    _, url = released
    before = _contents(url)
    Store.open(url, create=True).close()
    assert_nothing_lost(before, url)
    after = _contents(url)
    assert {row["machine"] for row in after["environment"]} == {"AMD EPYC, 2 cores, 1 thread"}
    profiled = {(row["id"], row["profile_hash"]) for row in before["configuration"] if row["profile_hash"]}
    carried = [(row["configuration_id"], row["profile_hash"]) for row in after["configuration_profile"]]
    assert set(carried) == profiled
    assert len(carried) == len(profiled)


def test_a_cell_that_was_answered_and_not_scored_is_scored(url: URL) -> None:
    """As a run left it that was stopped in between, or whose aggregate metric broke."""
    shutil.copy(_FIXTURES / "finished.db", str(url.database))
    connection = sqlite3.connect(str(url.database))
    connection.execute("UPDATE cell SET score = NULL, stderr = NULL, error = 'metric broke'")
    connection.execute("UPDATE answer SET score = (id % 4) / 4.0")
    connection.execute("UPDATE cell SET samples_asked = 4 WHERE id = (SELECT min(id) FROM cell)")
    connection.commit()
    connection.close()
    Store.open(url, create=True).close()
    after = _contents(url)
    first, *cells = sorted(after["cell"], key=lambda cell: cell["id"])
    assert (first["score"], first["error"]) == (None, "metric broke")
    for cell in cells:
        scores = [row["score"] for row in after["answer"] if row["cell_id"] == cell["id"]]
        assert (cell["score"], cell["error"]) == (pytest.approx(100 * mean(scores)), None)
        assert cell["stderr"] == pytest.approx(100 * stdev(scores) / 3**0.5)


def test_a_released_database_resumes_and_repeats_nothing(released: tuple[str, URL], rows: "Rows") -> None:
    name, url = released
    before = _contents(url)
    places = {(row["task"], row["length"]): [] for row in before["sample"]}
    for row in before["sample"]:
        places[row["task"], row["length"]].append(row["id"])
    done = {(row["cell_id"], row["sample_id"]) for row in before["answer"] if row["status"] == "done"}
    with Store.open(url, create=True) as store:
        run = store.start_run(["run"], rows.environment)
        for cell in before["cell"]:
            for sample in places[cell["task"], cell["length"]]:
                claims = store.claim(run, sample, [cell["id"]])
                is_done = (cell["id"], sample) in done
                assert (claims.done, claims.granted) == (({cell["id"]}, set()) if is_done else (set(), {cell["id"]}))
    ended = [(row["status"], row["exit_code"]) for row in _contents(url)["run"] if row["id"] != run]
    stopped = [("interrupted", 130), ("interrupted", None)]  # by Ctrl-C; by SIGKILL
    assert ended == {"finished": [("finished", 0)], "failed": [("failed", 1)] * 2, "stopped": stopped}[name]


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
