"""Databases as older versions of lukv-bench left them, on any server."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, MetaData, Table, create_engine, insert, select, text

import lukv_bench.db
from lukv_bench.db.database import make_engine, writing_engine
from lukv_bench.db.identity import VERSION_TABLE

Tables = dict[str, list[dict[str, Any]]]
"""Every row of every table."""

SCRIPTS = Path(lukv_bench.db.__file__).parent / "migrations"


def migrating_engine(url: URL) -> Engine:
    return writing_engine(make_engine(url, foreign_keys=False, pooled=False))


def make_old_database(url: URL, revision: str, rows: Tables, *, of: str | None = None) -> None:
    """A database of an older schema, with rows that were put there under that one or under an older one, `of`."""
    engine = migrating_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS))
        config.set_main_option("path_separator", "os")
        config.attributes["configure"] = {"connection": connection, "version_table": VERSION_TABLE}
        command.upgrade(config, of or revision)
        for name, table in _tables(connection).items():
            for row in rows.get(name, ()):
                connection.execute(insert(table).values(row))
        if rows.get("answer") and connection.dialect.name == "postgresql":
            connection.execute(text("SELECT setval(pg_get_serial_sequence('answer', 'id'), max(id)) FROM answer"))
        command.upgrade(config, revision)
    engine.dispose()


def _tables(connection: Connection) -> dict[str, Table]:
    """The tables that are there, parents first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return {table.name: table for table in metadata.sorted_tables}


def contents(url: URL, columns: dict[str, list[str]] | None = None) -> Tables:
    """Every row of every table by its key, of the columns named or of all; times are in UTC."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {
            name: [
                {column: _aware(value) for column, value in row.items()}
                for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()
            ]
            for name, table in _tables(connection).items()
            if name != VERSION_TABLE and (columns is None or name in columns)
        }
    engine.dispose()
    if columns is None:
        return found
    return {name: [{column: row[column] for column in columns[name]} for row in rows] for name, rows in found.items()}


def _aware(value: Any) -> Any:
    """SQLite keeps no time zone."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


_THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONFIGURATION = {
    "id": "uniform", "label": "uniform", "model_revision": "m", "dtype": "float32", "attention": "ragged-torch",
    "protocol": "agnostic", "chat_form": "plain", "truncation": "refuse", "allocator": "uniform",
    "allocator_args": {}, "scorer": "keydiff", "scorer_args": {}, "ratio": "0.8", "sink": 4, "window": 8,
    "schedule": "one-shot", "seed": 2**40, "code_version": "0.1.0+results.1", "spec": {"a": [1, None]},
}  # fmt: skip
_ANSWER = {"cell_id": "cell", "run_id": "killed", "created_at": _THEN, "events": []}
FIRST_SCHEMA: Tables = {
    "environment": [{"id": "e", "python": "3.11", "platform": "linux", "packages": {"torch": "2"}, "details": {}}],
    "model": [
        {
            "revision": "m", "name": "tiny", "n_layers": 2, "n_kv_heads": 2, "n_query_heads": 4, "head_dim": 8,
            "details": {},
        }
    ],
    "configuration": [CONFIGURATION],
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
