"""What older versions left is brought to the newest schema, and nothing of it is lost."""

import json
import shutil
import sqlite3
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, select, text

from lukv_bench import UserError
from lukv_bench.db.identity import VERSION_TABLE, schema_revisions
from lukv_bench.db.queries import results_frame, to_records
from lukv_bench.db.schema import Base, Cell, CellSummary
from lukv_bench.db.store import Store

from .old_databases import CONFIGURATION, FIRST_SCHEMA, Tables, contents, make_old_database

if TYPE_CHECKING:
    from .conftest import Rows

_FIXTURES = Path(__file__).parent / "fixtures"


def assert_nothing_lost(before: Tables, url: URL) -> None:
    """Every row of an older database, column by column, its keep counts through their new home."""
    columns = {name: list(rows[0]) for name, rows in before.items() if rows and name != "keep_counts"}
    kept, after = contents(url, columns), contents(url)
    for old, new in zip(before["cell"], kept["cell"], strict=True):
        if old["score"] is None:  # one that is answered whole is scored
            new |= {name: old[name] for name in ("score", "stderr", "error") if name in old}
    assert kept == {name: before[name] for name in columns}
    counts = {row["id"]: row["counts"] for row in after["allocation"]}
    moved = [
        {"answer_id": row["answer_id"], "counts": counts[row["allocation_id"]]} for row in after["answer_allocation"]
    ]
    assert moved == before["keep_counts"]
    assert len({json.dumps(each) for each in counts.values()}) == len(counts)


def test_a_database_of_the_first_schema_is_upgraded_whole(any_url: URL) -> None:
    make_old_database(any_url, "0001", FIRST_SCHEMA)
    before = contents(any_url)
    assert {name for name, rows in before.items() if rows} == set(FIRST_SCHEMA)
    Store.open(any_url, create=True).close()
    assert_nothing_lost(before, any_url)
    after = contents(any_url)
    assert {row["machine"] for row in after["environment"]} == {"linux"}
    assert {(row["facets"], row["reference_answers"]) for row in after["sample"]} == {(None, None)}
    assert {(row["heartbeat_at"], row["pid"], row["pid_space"], row["pid_start"]) for row in after["run"]} == {
        (None, None, None, None)
    }
    assert after["claim"] == []


def test_the_profile_of_an_inner_plugin_is_carried_over_as_its_own(url: URL) -> None:
    held = {"of": {"name": "lukv", "arguments": {"profile": ""}, "distribution": "lukv-bench", "version": "0.1.0"}}
    shuffled = {"id": "shuffled", "allocator": "shuffled", "allocator_args": held, "profile_hash": "p"}
    profiles = [{"hash": "p", "model_revision": "m", "details": {}}]
    rows = FIRST_SCHEMA | {"profile": profiles, "configuration": [CONFIGURATION, CONFIGURATION | shuffled]}
    make_old_database(url, "0001", rows)
    Store.open(url, create=True).close()
    assert contents(url)["configuration_profile"] == [
        {"configuration_id": "shuffled", "role": "allocator.of", "plugin": "lukv", "profile_hash": "p"}
    ]


def test_an_upgraded_database_resumes_and_repeats_nothing(any_url: URL, rows: "Rows") -> None:
    make_old_database(any_url, "0001", FIRST_SCHEMA)
    with Store.open(any_url, create=True) as store:
        row = results_frame(store).iloc[0]
        assert (row["status"], row["n"], row["n_failed"], row["error"]) == ("partial", 1, 1, "ValueError: NaN")
        store.put(*rows.samples(3, facets={"bucket": "4-8k"}, reference_answers=["blue"]))
        run = store.start_run(["run"], rows.environment)
        assert store.done_ordinals(["cell"]) == {"cell": {0}}
        for ordinal in (1, 2):
            assert store.put_answer(rows.answer(run, ordinal))
        assert results_frame(store)["status"].tolist() == ["complete"]
        assert rows.stored(store)[0].text == "first \u4e2d"
    filled = contents(any_url)["sample"]
    assert [(row["facets"], row["reference_answers"]) for row in filled] == [({"bucket": "4-8k"}, ["blue"])] * 3


@pytest.fixture(params=["finished", "failed", "stopped"])
def released(request: pytest.FixtureRequest, any_url: URL) -> tuple[str, URL]:
    """A copy of a database that fixtures/make.py made with the last version of schema 0002."""
    copy_released(request.param, any_url)
    return request.param, any_url


def copy_released(name: str, url: URL, revision: str = "0002") -> None:
    """The rows of a fixture in a database of its schema or of a newer one."""
    if url.get_backend_name() == "sqlite" and revision == "0002":
        shutil.copy(_FIXTURES / f"{name}.db", str(url.database))
    else:
        rows = contents(URL.create("sqlite", database=str(_FIXTURES / f"{name}.db")))
        make_old_database(url, revision, rows, of="0002")


@pytest.mark.parametrize("revision", [None, *schema_revisions()[:-1]])
def test_every_schema_becomes_the_newest(any_url: URL, revision: str | None) -> None:
    """From blank, and from each released schema with what a run left in it."""
    if revision == "0001":
        make_old_database(any_url, revision, FIRST_SCHEMA)
    elif revision is not None:
        copy_released("finished", any_url, revision)
    with Store.open(any_url, create=True) as store:
        rows = to_records(results_frame(store))
        with store.reading() as connection:
            options = {"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
            assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []
            summarised = set(connection.scalars(select(CellSummary.cell_id)))
            assert summarised == set(connection.scalars(select(Cell.id).where(Cell.score.is_not(None))))
        assert len(summarised) == {None: 0, "0001": 0}.get(revision, len(rows))
        with store.writing() as connection:
            connection.execute(text("UPDATE answer SET events = '[]'"))
            assert connection.scalars(select(CellSummary.cell_id)).all() == []
        statuses = {row["status"] for row in rows}
        assert statuses == {None: set(), "0001": {"partial"}}.get(revision, {"complete"})


def test_a_released_database_loses_nothing(released: tuple[str, URL]) -> None:
    _, url = released
    before = contents(url)
    Store.open(url, create=True).close()
    assert_nothing_lost(before, url)
    after = contents(url)
    assert {row["machine"] for row in after["environment"]} == {"AMD EPYC, 2 cores, 1 thread"}
    profiled = {(row["id"], row["profile_hash"]) for row in before["configuration"] if row["profile_hash"]}
    carried = [(row["configuration_id"], row["profile_hash"]) for row in after["configuration_profile"]]
    assert set(carried) == profiled
    assert len(carried) == len(profiled)


def test_a_cell_that_was_answered_and_not_scored_is_scored(url: URL) -> None:
    """As a run left it that was stopped in between, or whose aggregate metric broke."""
    shutil.copy(_FIXTURES / "finished.db", str(url.database))
    connection = sqlite3.connect(str(url.database))
    connection.execute("UPDATE cell SET score = NULL, stderr = NULL, error = 'metric broke'")
    connection.execute("UPDATE answer SET score = (id % 4) / 4.0")
    connection.execute("UPDATE cell SET samples_asked = 4 WHERE id = (SELECT min(id) FROM cell)")
    connection.commit()
    connection.close()
    Store.open(url, create=True).close()
    after = contents(url)
    first, *cells = sorted(after["cell"], key=lambda cell: cell["id"])
    assert (first["score"], first["error"]) == (None, "metric broke")
    for cell in cells:
        scores = [row["score"] for row in after["answer"] if row["cell_id"] == cell["id"]]
        assert (cell["score"], cell["error"]) == (pytest.approx(100 * mean(scores)), None)
        assert cell["stderr"] == pytest.approx(100 * stdev(scores) / 3**0.5)


def test_a_released_database_resumes_and_repeats_nothing(released: tuple[str, URL], rows: "Rows") -> None:
    name, url = released
    before = contents(url)
    places = {(row["task"], row["length"]): [] for row in before["sample"]}
    for row in before["sample"]:
        places[row["task"], row["length"]].append(row["id"])
    done = {(row["cell_id"], row["sample_id"]) for row in before["answer"] if row["status"] == "done"}
    with Store.open(url, create=True) as store:
        run = store.start_run(["run"], rows.environment)
        for cell in before["cell"]:
            for sample in places[cell["task"], cell["length"]]:
                claims = store.claim(run, sample, [cell["id"]])
                is_done = (cell["id"], sample) in done
                assert (claims.done, claims.granted) == (({cell["id"]}, set()) if is_done else (set(), {cell["id"]}))
    ended = [(row["status"], row["exit_code"]) for row in contents(url)["run"] if row["id"] != run]
    stopped = [("interrupted", 130), ("interrupted", None)]  # by Ctrl-C; by SIGKILL
    assert ended == {"finished": [("finished", 0)], "failed": [("failed", 1)] * 2, "stopped": stopped}[name]


def test_older_database_is_upgraded_by_writers_and_refused_by_readers(any_url: URL) -> None:
    make_old_database(any_url, "0001", FIRST_SCHEMA)
    with pytest.raises(UserError, match="older lukv-bench"):
        Store.open(any_url, create=False)
    Store.open(any_url, create=True).close()
    Store.open(any_url, create=False).close()
