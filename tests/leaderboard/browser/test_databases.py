"""Databases without results to show: each gets a page that says what it is, and results appear once there are any."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import expect

from lukv_bench.db.example import example_file
from lukv_bench.db.identity import VERSION_TABLE
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

from .conftest import Serve, Served, Visitors

FIXTURES = Path(__file__).parents[2] / "db" / "fixtures"


def empty(file: Path) -> None:
    Store.open(resolve_url(str(file)), create=True).close()


def broken(file: Path) -> None:
    file.write_bytes(b"These are no results.\n" * 400)


def torn(file: Path) -> None:
    shutil.copy(example_file(), file)
    with file.open("r+b") as handle:
        handle.truncate(file.stat().st_size // 3)


def foreign(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def older(file: Path) -> None:
    shutil.copy(FIXTURES / "finished.db", file)


def newer(file: Path) -> None:
    shutil.copy(example_file(), file)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")


@pytest.fixture(scope="module")
def place(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A site whose database each test puts there anew."""
    with serve(tmp_path_factory.mktemp("place") / "results.db") as served:
        yield served


def put(make: Callable[[Path], object], folder: Path, place: Served) -> None:
    """Another file in the place of the database."""
    file = folder / "made.db"
    make(file)
    assert place.database is not None
    file.replace(place.database)


@pytest.mark.parametrize(
    ("make", "title", "words"),
    [
        (empty, "No results yet", ["lukv-bench run"]),
        (broken, "The database cannot be read", ["is not a database", "--db"]),
        (torn, "The database cannot be read", ["malformed", "--db"]),
        (foreign, "Not a database of lukv-bench", ["--db"]),
        (older, "Written by an older lukv-bench", ["lukv-bench run"]),
        (newer, "Written by a newer lukv-bench", ["newer"]),
    ],
)
def test_a_database_that_cannot_be_shown_is_explained(
    place: Served,
    visitors_of: Callable[[Served], Visitors],
    tmp_path: Path,
    make: Callable[[Path], None],
    title: str,
    words: list[str],
) -> None:
    put(make, tmp_path, place)
    screen = visitors_of(place).open()
    heading = screen.main.get_by_role("heading", level=1)
    expect(heading).to_have_text(title)
    for word in words:
        expect(screen.main).to_contain_text(word)


def test_a_locked_database_is_said_to_be_and_its_results_come_back_by_themselves(
    place: Served, visitors_of: Callable[[Served], Visitors], tmp_path: Path
) -> None:
    put(lambda file: shutil.copy(example_file(), file), tmp_path, place)
    screen = visitors_of(place).open("tasks")
    heading = screen.main.get_by_role("heading", level=1)
    expect(heading).to_have_text("Tasks")
    with closing(sqlite3.connect(str(place.database), isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        expect(heading).to_have_text("The database is locked")  # by itself
        expect(screen.main).to_contain_text("looks again by itself")
        expect(screen.plots).to_have_count(0)
    expect(heading).to_have_text("Tasks")
    screen.plot()


def test_results_in_the_place_of_what_cannot_be_shown_appear_by_themselves(
    place: Served, visitors_of: Callable[[Served], Visitors], tmp_path: Path
) -> None:
    put(torn, tmp_path, place)
    screen = visitors_of(place).open()
    heading = screen.main.get_by_role("heading", level=1)
    expect(heading).to_have_text("The database cannot be read")
    put(foreign, tmp_path, place)
    expect(heading).to_have_text("Not a database of lukv-bench")
    put(lambda file: shutil.copy(example_file(), file), tmp_path, place)
    expect(heading).to_have_text("Leaderboard")
