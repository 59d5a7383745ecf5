"""Databases that someone else touched: what is broken is named, and the rest is still there."""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import URL

from lukv_bench import UserError
from lukv_bench.bench.reports.grid import grid
from lukv_bench.bench.reports.table import markdown, print_csv, print_json, print_table
from lukv_bench.db.comparison import result_rows
from lukv_bench.db.store import Store
from lukv_bench.db.urls import check_writable

if TYPE_CHECKING:
    from .conftest import Rows

GOOD, BAD = "a" * 64, "b" * 64


@pytest.fixture
def two_cells(url: URL, rows: "Rows") -> URL:
    """Two complete cells, of a configuration each."""
    with Store.open(url, create=True) as store:
        store.put(rows.model, *rows.samples(1))
        run = store.start_run(["run"], rows.environment)
        for cell, name in ((GOOD, "good"), (BAD, "bad")):
            store.put(rows.configuration(name), rows.cell(cell, of=name, samples=1))
            store.put_answer(rows.answer(run, cell=cell))
    return url


def change(url: URL, *statements: str) -> None:
    connection = sqlite3.connect(str(url.database))
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def read(url: URL) -> dict[str, dict[str, Any]]:
    with Store.open(url, create=False) as store:
        return {row["cell"]: row for row in result_rows(store)}


OF_BAD = "WHERE label = 'bad'"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (f"UPDATE configuration SET spec = '{{' {OF_BAD}", '"spec" of row'),
        (f"UPDATE configuration SET spec = '[]' {OF_BAD}", '"spec" of row'),
        (f"UPDATE configuration SET spec = '{'[' * 100_000}' {OF_BAD}", '"spec" of row'),
        (f"UPDATE configuration SET allocator_args = 'null' {OF_BAD}", '"allocator_args" of row'),
        (f"UPDATE configuration SET scorer_args = x'0041' {OF_BAD}", '"scorer_args" of row'),
        (f"UPDATE configuration SET ratio = 'much' {OF_BAD}", '"ratio" of row'),
        (f"UPDATE configuration SET ratio = 'nan' {OF_BAD}", '"ratio" of row'),
        (f"UPDATE configuration SET seed = 'zero' {OF_BAD}", '"seed" of row'),
        (f"UPDATE configuration SET allocator = x'00ff' {OF_BAD}", '"allocator" of row'),
        (f"DELETE FROM configuration {OF_BAD}", 'of table "configuration" is missing'),
        (f"UPDATE cell SET length = 'long' WHERE id = '{BAD}'", '"length" of row bbbbbbbbbbbb in table "cell"'),
        (f"UPDATE cell SET stderr = 9e999 WHERE id = '{BAD}'", '"stderr" of row bbbbbbbbbbbb in table "cell"'),
        (f"UPDATE answer SET events = 'x' WHERE cell_id = '{BAD}'", '"events" of row 2 in table "answer"'),
        (f"UPDATE answer SET events = '[7]' WHERE cell_id = '{BAD}'", '"events" of row 2 in table "answer"'),
        (f"UPDATE answer SET events = '[{{}}]' WHERE cell_id = '{BAD}'", '"events" of row 2 in table "answer"'),
        ("UPDATE timing SET ttft_s = 9e999 WHERE answer_id = 2", 'the mean of "ttft_s" is not a number'),
    ],
)
def test_a_broken_value_makes_its_row_unreadable_and_no_other(
    two_cells: URL, statement: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read(two_cells)[GOOD]
    change(two_cells, "PRAGMA foreign_keys=OFF", statement)
    after = read(two_cells)
    assert after[GOOD] == before
    assert (after[BAD]["status"], after[BAD]["score"], after[BAD]["interval"]) == ("unreadable", None, None)
    assert words in after[BAD]["error"]
    rows = list(after.values())
    for show in (print_table, print_json, print_csv):
        show(rows)
        assert words.split('"')[1] in capsys.readouterr().out
    for text in (markdown(rows), grid(rows)):
        assert words in text
        assert 'results --delete bbbbbbbb" removes it' in text


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("ALTER TABLE answer DROP COLUMN stop_reason", 'lacks its column "answer.stop_reason"'),
        ("DROP TABLE timing", 'lacks its table "timing"'),
    ],
)
def test_a_missing_table_or_column_is_named_before_anything_is_done(two_cells: URL, statement: str, words: str) -> None:
    change(two_cells, statement)
    before = Path(str(two_cells.database)).read_bytes()
    for act in (read, check_writable, lambda url: Store.open(url, create=True)):
        with pytest.raises(UserError, match=words) as error:
            act(two_cells)
        assert "results.db" in str(error.value)
        assert "another program changed it; restore a copy, or name another with --db." in str(error.value)
    assert Path(str(two_cells.database)).read_bytes() == before
