"""Opening a database that is missing, strange, full or broken."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from sqlalchemy import URL

from lukv_bench import UserError
from lukv_bench.db.errors import StoreError
from lukv_bench.db.queries import results_frame
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows


def test_opening_what_is_not_there(url: URL, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no results at .*results\.db.* yet; make some with"):
        Store.open(url, create=False)
    Path(url.database).touch()
    with pytest.raises(UserError, match="no results at"):
        Store.open(url, create=False)
    assert [path.name for path in tmp_path.iterdir()] == ["results.db"]
    assert Path(url.database).stat().st_size == 0


def test_opening_a_folder_or_a_text(url: URL) -> None:
    Path(url.database).mkdir()
    with pytest.raises(UserError, match="is a folder"):
        Store.open(url, create=False)
    Path(url.database).rmdir()
    Path(url.database).write_text("not a database, but a text that is long enough" * 9)
    with pytest.raises(UserError, match="not a database"):
        Store.open(url, create=False)
    with pytest.raises(UserError, match="not a database"):
        Store.open(url, create=True)


def test_create_makes_the_folders_above(tmp_path: Path, url: URL) -> None:
    deep = url.set(database=str(tmp_path / "a b%?#" / "c" / "results.db"))
    for _ in range(2):
        with Store.open(deep, create=True) as store:
            assert results_frame(store).empty
    with Store.open(deep, create=False) as store:
        assert results_frame(store).empty


def test_full_disk_keeps_what_was_stored(
    url: URL, rows: "Rows", tmp_path: Path, cannot: Callable[[str], NoReturn]
) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path], check=False).returncode:
        cannot("needs the right to mount")
    try:
        with Store.open(url, create=True) as store:
            run = rows.put_all(store, n_samples=400)
            answers = (rows.answer(run, i, text="x" * 9000) for i in range(400))
            with pytest.raises(StoreError, match="full"):
                list(map(store.put_answer, answers))
            failed_at = int(next(answers).sample_id.removeprefix("s")) - 1
            assert store.done_ordinals(["cell"]) == {"cell": set(range(failed_at))}
        with Store.open(url, create=True) as store:
            assert len(store.done_ordinals(["cell"])["cell"]) == failed_at > 10
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_database_that_breaks_under_way_is_named(url: URL, rows: "Rows") -> None:
    with Store.open(url, create=True) as store:
        rows.put_all(store)
    with Store.open(url, create=False) as store:
        path = Path(url.database)
        path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096 * 30)
        with pytest.raises(StoreError, match=r"results\.db failed: "):
            rows.put_all(store)
