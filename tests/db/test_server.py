"""PostgreSQL as it is met in the wild: defaults of its own, connections that it closes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import URL, create_engine, text

from lukv_bench.db.database import SERVER_WAITS
from lukv_bench.db.errors import StoreError
from lukv_bench.db.store import Store

from .conftest import database_on

if TYPE_CHECKING:
    from .conftest import Rows


@pytest.fixture
def database(empty_database: URL) -> Iterator[URL]:
    with database_on(empty_database, empty_database.database) as url:
        yield url


def by_administrator(url: URL, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.mark.parametrize("default", ["read committed", "repeatable read", "serializable"])
def test_the_isolation_is_ours_whatever_the_servers_default(database: URL, default: str) -> None:
    by_administrator(database, f"ALTER DATABASE {database.database} SET default_transaction_isolation = '{default}'")
    shown = "SELECT current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only')"
    with Store.open(database, create=True) as store:
        for _ in range(2):  # a connection of the pool is used by turns
            with store.writing() as connection:
                assert connection.scalar(text(shown)) == "read committed off"
            with store.reading() as connection:
                assert connection.scalar(text(shown)) == "repeatable read on"


CLOSE_OTHERS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""


def test_connections_that_the_server_closed_between_two_writes_are_replaced(database: URL, rows: "Rows") -> None:
    with Store.open(database, create=True) as store:
        run = rows.put_all(store)
        by_administrator(database, CLOSE_OTHERS)
        assert store.put_answer(rows.answer(run, 0))
        by_administrator(database, CLOSE_OTHERS)
        assert [answer.sample_id for answer in rows.stored(store)] == ["s0"]


def test_one_that_is_closed_within_a_write_is_an_error_and_nothing_is_half_there(database: URL, rows: "Rows") -> None:
    with Store.open(database, create=True) as store:
        run = rows.put_all(store)

        def write() -> None:
            with store.writing() as connection:
                connection.execute(text("DELETE FROM sample"))
                by_administrator(database, CLOSE_OTHERS)
                connection.execute(text("DELETE FROM cell"))

        with pytest.raises(StoreError, match="failed: "):
            write()
        assert store.put_answer(rows.answer(run, 0))


def test_a_wait_that_the_url_names_is_kept(database: URL) -> None:
    with Store.open(database.update_query_dict({"connect_timeout": "3"}), create=True) as store, store.reading() as own:
        parameters = own.connection.driver_connection.info.get_parameters()
    assert parameters["connect_timeout"] == "3"
    assert parameters["keepalives_idle"] == str(SERVER_WAITS["keepalives_idle"])
