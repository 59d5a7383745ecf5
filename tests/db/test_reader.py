"""A database opened for reading alone: nothing changes it, every change is seen, every trouble has its own error."""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import URL, insert, text
from sqlalchemy.exc import SQLAlchemyError

from lukv_bench.db import errors
from lukv_bench.db.errors import StoreError
from lukv_bench.db.identity import VERSION_TABLE
from lukv_bench.db.reader import Reader
from lukv_bench.db.results import read_results
from lukv_bench.db.schema import Environment
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows


def test_nothing_can_be_changed_through_it(any_url: URL, rows: "Rows") -> None:
    with Store.open(any_url, create=True) as store:
        rows.put_all(store)
    with Reader.open(any_url) as reader:
        change = insert(Environment).values(id="x", python="3", platform="linux", packages={}, details={})
        for begin in (reader.reading, reader.writing):
            with pytest.raises((StoreError, SQLAlchemyError), match=r"read-?only"), begin() as connection:
                connection.execute(change)
        assert len(read_results(reader)) == 1


def test_every_change_by_anyone_is_another_version(any_url: URL, rows: "Rows") -> None:
    with Store.open(any_url, create=True) as store:
        run = rows.put_all(store)
        with Reader.open(any_url) as reader:
            versions = [reader.version(), reader.version()]
            assert len(set(versions)) == 1
            for ordinal in range(2):
                store.put_answer(rows.answer(run, ordinal))
                versions.append(reader.version())
                assert read_results(reader)[0]["n"] == ordinal + 1
            with store.writing() as connection:
                connection.execute(text("UPDATE cell SET error = 'by hand'"))
            versions.append(reader.version())
            assert len(set(versions)) == 4
            assert reader.version() == versions[-1]


def test_a_run_that_ends_while_a_site_reads_leaves_a_whole_file(url: URL, rows: "Rows", tmp_path: Path) -> None:
    """Someone copies the one file that they know of."""
    store = Store.open(url, create=True)
    run = rows.put_all(store)
    with Reader.open(url) as reader:
        reader.version()
        store.put_answer(rows.answer(run))
        store.close()
        copy = tmp_path / "copy.db"
        copy.write_bytes(Path(str(url.database)).read_bytes())
        with Reader.open(url.set(database=str(copy))) as other:
            assert read_results(other) == read_results(reader)


def test_a_file_that_was_replaced_has_no_version(url: URL, rows: "Rows", tmp_path: Path) -> None:
    for path in (Path(str(url.database)), tmp_path / "new.db"):
        with Store.open(url.set(database=str(path)), create=True) as store:
            rows.put_all(store)
    with Reader.open(url) as reader:
        reader.version()
        (tmp_path / "new.db").rename(str(url.database))
        with pytest.raises(StoreError, match="replaced"):
            reader.version()


def test_every_trouble_has_an_error_of_its_own(any_url: URL, url: URL, rows: "Rows", tmp_path: Path) -> None:
    with pytest.raises(errors.NoResultsError):
        Reader.open(any_url)
    with Store.open(any_url, create=True) as store:
        rows.put_all(store)
    for revision, error in (("0001", errors.OlderSchemaError), ("9999", errors.NewerSchemaError)):
        with Store.open(any_url, create=False) as store, store.writing() as connection:
            before = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'"))
        with pytest.raises(error):
            Reader.open(any_url)
        engine = store._engine
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{before}'"))
    with Store.open(any_url, create=False) as store, store.writing() as connection:
        connection.execute(text("DROP TABLE timing"))
    with pytest.raises(errors.ForeignDatabaseError):
        Reader.open(any_url)


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be looked at" * 20, b"SQLite format 3\0broken"]
)
def test_a_file_that_is_no_database(url: URL, content: bytes) -> None:
    Path(str(url.database)).write_bytes(content)
    with pytest.raises(errors.UnreadableError, match=r"results\.db"):
        Reader.open(url)


def test_a_file_that_another_program_holds(url: URL, rows: "Rows", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lukv_bench.db.database.READER_BUSY_S", 0.1)
    with Store.open(url, create=True) as store:
        rows.put_all(store)
    reader = Reader.open(url)
    other = sqlite3.connect(str(url.database), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(errors.LockedError, match="locked"):
        Reader.open(url)
    with pytest.raises(errors.BusyError, match="locked"):
        read_results(reader)
    other.close()
    assert len(read_results(reader)) == 1
    reader.close()
