"""Results on a mount where nothing may be written. The tests run as root, whom no permission stops."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from lukv_bench import UserError
from lukv_bench.db.queries import results_frame
from lukv_bench.db.removal import delete_cell
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

if TYPE_CHECKING:
    from .conftest import Rows


READ = """
import sys
from lukv_bench.db.results import read_results
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url
with Store.open(resolve_url(sys.argv[1]), create=False) as store:
    print([row["n"] for row in read_results(store)])
"""
"""In a process of its own: SQLite shares locks and memory among the connections of one."""


@pytest.fixture
def mount(tmp_path: Path, cannot: Callable[[str], NoReturn]) -> Iterator[Path]:
    folder = tmp_path / "a mount%20?"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True, check=False).returncode:
        cannot("needs the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def freeze(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


def filled(path: Path, rows: "Rows") -> None:
    with Store.open(resolve_url(str(path)), create=True) as store:
        store.put_answer(rows.answer(rows.put_all(store)))


def numbers(path: Path) -> list[int]:
    with Store.open(resolve_url(str(path)), create=False) as store:
        return list(results_frame(store)["n"])


def test_a_finished_database_is_read(mount: Path, rows: "Rows") -> None:
    filled(mount / "x.db", rows)
    freeze(mount)
    assert numbers(mount / "x.db") == [1]


def test_a_database_in_wal_mode_is_read_where_its_wal_is_folded_in(mount: Path, rows: "Rows") -> None:
    """As older versions left it."""
    filled(mount / "x.db", rows)
    connection = sqlite3.connect(mount / "x.db")
    assert connection.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
    connection.execute("UPDATE cell SET samples_asked = 3")
    connection.commit()
    connection.close()
    freeze(mount)
    assert numbers(mount / "x.db") == [1]


def test_a_cell_cannot_be_deleted_there(mount: Path, rows: "Rows") -> None:
    filled(mount / "x.db", rows)
    freeze(mount)
    url = resolve_url(str(mount / "x.db"))
    with Store.open(url, create=False) as store, pytest.raises(UserError, match="cannot be written"):
        delete_cell(store, "cell")
    assert numbers(mount / "x.db") == [1]


def test_a_run_that_was_killed_left_what_cannot_be_read_there(mount: Path, tmp_path: Path, rows: "Rows") -> None:
    path = tmp_path / "x.db"
    with Store.open(resolve_url(str(path)), create=True) as store:
        store.put_answer(rows.answer(rows.put_all(store)))
        for name in ("x.db", "x.db-wal"):
            shutil.copy(tmp_path / name, mount / name)
        shutil.copytree(mount, tmp_path / "copy")
    freeze(mount)
    with pytest.raises(UserError, match=r'in "x.db-wal".*copy both files') as error:
        numbers(mount / "x.db")
    assert "\n" not in str(error.value)
    assert numbers(tmp_path / "copy" / "x.db") == [1]


def test_a_database_that_is_being_written_elsewhere_is_read_through_a_read_only_mount(
    mount: Path, tmp_path: Path, rows: "Rows"
) -> None:
    path = tmp_path / "live" / "x.db"
    with Store.open(resolve_url(str(path)), create=True) as store:
        store.put_answer(rows.answer(rows.put_all(store)))
        subprocess.run(["mount", "--bind", path.parent, mount], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", mount], check=True)
            read = subprocess.run(
                [sys.executable, "-c", READ, mount / "x.db"], capture_output=True, text=True, check=False
            )
            assert (read.stdout, read.stderr) == ("[1]\n", "")
        finally:
            subprocess.run(["umount", mount], check=True)
