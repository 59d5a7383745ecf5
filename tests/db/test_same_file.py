import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import URL

from lukv_bench.db.errors import StoreError
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows


def _delete(file: Path) -> None:
    for part in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
        part.unlink(missing_ok=True)


def _move(file: Path) -> None:
    file.rename(file.with_name("moved.db"))


def _replace(file: Path) -> None:
    other = file.with_name("other.db")
    other.write_bytes(file.read_bytes())
    os.replace(other, file)


@pytest.mark.parametrize("happens", [_delete, _move, _replace])
def test_a_file_that_was_deleted_moved_or_replaced_is_noticed_at_the_next_write(
    store: Store, rows: "Rows", url: URL, happens: Callable[[Path], None]
) -> None:
    run = rows.put_all(store)
    store.put_answer(rows.answer(run, 0))
    file = Path(url.database)
    happens(file)
    before = file.read_bytes() if file.exists() else None
    for write in (lambda: store.put_answer(rows.answer(run, 1)), lambda: store.finish_run(run, 0)):
        with pytest.raises(StoreError, match=r"results\.db was deleted, moved or replaced while it was in use"):
            write()
    assert (file.read_bytes() if file.exists() else None) == before, "no empty database takes its place"


def test_a_deleted_file_is_not_made_anew_by_another_connection(store: Store, rows: "Rows", url: URL) -> None:
    rows.put_all(store)
    _delete(Path(url.database))
    with store.reading(), pytest.raises(StoreError, match="deleted"):  # the pool's one connection is taken
        store.put(rows.cell(samples=3))
    assert not Path(url.database).exists()


def test_a_file_reached_by_a_link_is_the_same_file(url: URL, rows: "Rows", tmp_path: Path) -> None:
    Store.open(url, create=True).close()
    (tmp_path / "link.db").symlink_to(url.database)
    with Store.open(url.set(database=str(tmp_path / "link.db")), create=True) as store:
        rows.put_all(store)
