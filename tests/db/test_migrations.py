import io
import re
import sqlite3
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from lukv_bench.db import migrate
from lukv_bench.db.identity import VERSION_TABLE, schema_revisions
from lukv_bench.db.schema import Base
from lukv_bench.db.store import Store

from .old_databases import SCRIPTS, migrating_engine

if TYPE_CHECKING:
    from .conftest import Rows


def test_migrated_schema_is_the_models_schema(any_store: Store) -> None:
    engine = create_engine(any_store.url)
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
    scripts = ScriptDirectory(str(SCRIPTS))
    line = tuple(script.revision for script in reversed(list(scripts.walk_revisions())))
    assert schema_revisions() == line
    assert scripts.get_heads() == [line[-1]]


def test_upgrade_is_idempotent(url: URL, rows: "Rows") -> None:
    with Store.open(url, create=True) as store:
        rows.put_all(store)
    dump = _dump(url)
    engine = migrating_engine(url)
    migrate.upgrade(engine)
    engine.dispose()
    assert _dump(url) == dump


def _dump(url: URL) -> list[str]:
    connection = sqlite3.connect(url.database)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


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
    config.set_main_option("script_location", str(SCRIPTS))
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
