"""What every page has around it, run without a browser."""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lukv_bench.db.identity import VERSION_TABLE
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url
from lukv_bench.leaderboard.site import PAGES

from .conftest import APP

Visit = Callable[..., AppTest]
OURS = ("ranking", "tradeoffs", "tasks", "about")


def titles(site: AppTest) -> list[str]:
    assert not site.exception, [error.message for error in site.exception]
    return [title.value for title in site.title]


@pytest.mark.parametrize("page", OURS)
def test_every_page_is_drawn(filled: Path, visit: Visit, page: str) -> None:
    assert titles(visit(filled, page)) == [PAGES[page]]


def test_visitors_at_once_lose_no_place_of_modules(filled: Path, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    here, others, resolve = str(APP.parent), [*sys.path], Path.resolve

    def resolve_beside_another_visitor(path: Path, strict: bool = False) -> Path:
        if path == APP.parent and here in sys.path:  # another visitor's thread may be at the same line at any moment
            sys.path.remove(here)
        return resolve(path, strict)

    monkeypatch.setattr(sys, "path", [here, *others])
    monkeypatch.setattr(Path, "resolve", resolve_beside_another_visitor)
    assert titles(visit(filled)) == [PAGES["ranking"]]
    assert sys.path == others


@pytest.mark.parametrize("page", OURS)
def test_every_page_is_drawn_before_the_first_answer(planned: Path, visit: Visit, page: str) -> None:
    assert titles(visit(planned, page)) == [PAGES[page]]


@pytest.mark.parametrize("page", OURS)
def test_every_page_is_drawn_while_a_run_is_at_work(results: Path, visit: Visit, page: str) -> None:
    with closing(sqlite3.connect(results)) as connection, connection:
        connection.execute("DELETE FROM answer WHERE id % 3 = 0")
    assert titles(visit(results, page)) == [PAGES[page]]


def test_a_database_that_is_not_there_is_a_page_that_says_what_to_type(tmp_path: Path, visit: Visit) -> None:
    site = visit(tmp_path / "nothing.db")
    assert titles(site) == ["No results yet"]
    assert "lukv-bench run" in site.code[0].value


def test_a_database_without_results_is_a_page_that_says_what_to_type(tmp_path: Path, visit: Visit) -> None:
    path = tmp_path / "empty.db"
    Store.open(resolve_url(str(path)), create=True).close()
    site = visit(path)
    assert titles(site) == ["No results yet"]
    assert "lukv-bench run" in site.code[0].value


@pytest.mark.parametrize(
    ("revision", "title"),
    [("0001", "Written by an older lukv-bench"), ("9999", "Written by a newer lukv-bench")],
)
def test_a_database_of_another_version_is_a_page_of_its_own(
    results: Path, visit: Visit, revision: str, title: str
) -> None:
    with closing(sqlite3.connect(results)) as connection, connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = ?", (revision,))
    site = visit(results)
    assert titles(site) == [title]
    assert "lukv" in site.markdown[0].value


def test_a_file_that_is_no_database_is_a_page_of_its_own(tmp_path: Path, visit: Visit) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 1000)
    assert titles(visit(path))[0] in ("The database cannot be read", "Not a database of lukv-bench")


def test_another_programs_database_is_a_page_of_its_own(tmp_path: Path, visit: Visit) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    assert titles(visit(path)) == ["Not a database of lukv-bench"]


def test_a_locked_database_is_a_page_of_its_own(results: Path, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lukv_bench.db.database.READER_BUSY_S", 0.1)
    with closing(sqlite3.connect(results, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        assert titles(visit(results)) == ["The database is locked"]


def test_a_broken_database_is_a_page_of_its_own(results: Path, visit: Visit) -> None:
    content = bytearray(results.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    results.write_bytes(content)
    assert titles(visit(results)) == ["The database cannot be read"]


def test_new_answers_appear_without_a_restart(results: Path, visit: Visit) -> None:
    with closing(sqlite3.connect(results)) as connection, connection:
        kept = connection.execute("SELECT * FROM answer WHERE id = 1").fetchone()
        connection.execute("DELETE FROM answer WHERE id = 1")
    site = visit(results)
    assert "Incomplete" in [header.value for header in site.header]
    with closing(sqlite3.connect(results)) as connection, connection:
        connection.execute(f"INSERT INTO answer VALUES ({','.join('?' * len(kept))})", kept)
    assert "Incomplete" not in [header.value for header in site.run().header]


def test_a_database_that_is_made_later_is_found(tmp_path: Path, filled: Path, visit: Visit) -> None:
    path = tmp_path / "later.db"
    site = visit(path)
    path.write_bytes(filled.read_bytes())
    assert titles(site.run()) == ["Leaderboard"]


def test_a_database_that_is_replaced_is_read_anew(results: Path, filled: Path, visit: Visit) -> None:
    site = visit(results)
    results.unlink()
    titles(site.run())
    results.write_bytes(filled.read_bytes())
    assert titles(site.run()) == ["Leaderboard"]
