"""Another process holds the write lock for long: who asks for patience waits, and writes in the end."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import URL

from lukv_bench.db import database
from lukv_bench.db.errors import StoreError
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows


@pytest.fixture
def impatient(any_url: URL, rows: "Rows", monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with a cell, that waits a moment only before it asks."""
    monkeypatch.setattr(database, "BUSY_S", 1.0)
    with Store.open(any_url, create=True) as store:
        rows.put_all(store)
        yield store


def test_a_lock_held_for_long_is_waited_for(impatient: Store, any_url: URL, rows: "Rows") -> None:
    waits: list[float] = []
    with Store.open(any_url, create=True) as other:
        holding = other.writing()
        holding.__enter__()

        def on_lock(waited_s: float) -> None:
            waits.append(waited_s)
            if len(waits) == 2:
                holding.__exit__(None, None, None)

        impatient.on_lock = on_lock
        impatient.put(rows.cell(samples=7))
    assert len(waits) == 2
    assert 0 < waits[0] < waits[1]


def test_without_patience_it_is_an_error_that_names_the_database(impatient: Store, any_url: URL, rows: "Rows") -> None:
    with Store.open(any_url, create=True) as other, other.writing(), pytest.raises(StoreError, match="failed: "):
        impatient.put(rows.cell(samples=7))


def test_no_one_waits_for_ever(impatient: Store, any_url: URL, rows: "Rows", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LONGEST_WAIT_S", 0.0)
    impatient.on_lock = lambda _: pytest.fail("it waits on")
    with Store.open(any_url, create=True) as other, other.writing(), pytest.raises(StoreError, match="failed: "):
        impatient.put(rows.cell(samples=7))
