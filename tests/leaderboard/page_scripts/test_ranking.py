"""The leaderboard page."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

Visit = Callable[..., AppTest]


def table(site: AppTest, column: str) -> pd.DataFrame:
    """The first table that has a column."""
    assert not site.exception, [error.message for error in site.exception]
    return next(each.value for each in site.dataframe if column in each.value)


def ranks(site: AppTest) -> dict[tuple[str, str], int]:
    frame = table(site, "Rank")
    return {(row.Method, row.Budget): row.Rank for row in frame.itertuples()}


def forget_answer(database: Path, allocator: str, scorer: str) -> None:
    """Another program deletes one answer of a configuration at 0.8."""
    one = """DELETE FROM answer WHERE id = (SELECT answer.id FROM answer
        JOIN cell ON cell.id = cell_id JOIN configuration ON configuration.id = configuration_id
        WHERE allocator = ? AND scorer = ? AND ratio = '0.8' LIMIT 1)"""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(one, (allocator, scorer))


def test_who_answers_alike_shares_a_rank_and_who_differs_does_not(filled: Path, visit: Visit) -> None:
    ranked = ranks(visit(filled))
    assert ranked["lukv x keydiff", "prune 0.8"] == ranked["lukv x snapkv", "prune 0.8"] == 1
    assert ranked["uniform x keydiff", "prune 0.8"] > ranked["full", "full"] == 1


def test_who_lacks_a_single_answer_is_ranked_nowhere(results: Path, visit: Visit) -> None:
    forget_answer(results, "lukv", "keydiff")
    site = visit(results)
    assert ("lukv x keydiff", "prune 0.8") not in ranks(site)
    assert ("lukv x keydiff", "prune 0.5") in ranks(site)
    missing = table(site, "Missing")
    assert list(missing["Method"]) == ["lukv x keydiff"]
    assert "11 of 12 samples" in missing["Missing"].iloc[0]
    assert site.download_button(key="download-incomplete")


def test_who_lacks_an_answer_on_one_task_is_ranked_on_another(results: Path, visit: Visit) -> None:
    forget_answer(results, "lukv", "keydiff")
    lacking = table(visit(results), "Missing")["Missing"].iloc[0].split()[0]
    other = "fwe" if lacking == "niah" else "niah"
    assert ("lukv x keydiff", "prune 0.8") in ranks(visit(results, task=other))


def test_filters_of_methods_hide_rows_and_change_no_rank(filled: Path, visit: Visit) -> None:
    everybody = ranks(visit(filled))
    some = ranks(visit(filled, allocator="uniform"))
    assert 0 < len(some) < len(everybody)
    assert some.items() <= everybody.items()


def test_the_filters_say_what_they_left(filled: Path, visit: Visit) -> None:
    captions = [caption.value for caption in visit(filled, allocator="lukv").sidebar.caption]
    assert "12 of 39 results left by the filters." in captions


def test_filters_that_leave_nothing_are_said(filled: Path, visit: Visit) -> None:
    site = visit(filled, allocator="full", scorer="keydiff")
    assert "take one of them away" in site.info[0].value
    assert not site.exception


def test_seconds_stand_apart_from_the_ranks(filled: Path, visit: Visit) -> None:
    site = visit(filled)
    assert not [column for column in table(site, "Rank") if column.endswith(", s")]
    assert "Rank" not in table(site, "Prefill, s")


def test_a_configuration_shows_the_commands_that_reproduce_it(filled: Path, visit: Visit) -> None:
    site = visit(filled, configuration="lukv x snapkv, prune 0.8")
    commands = site.code[-1].value.splitlines()
    assert len(commands) == 3
    assert all("--allocator lukv --scorer snapkv" in command and "--ratio 0.8" in command for command in commands)
    assert {command.split("--length ")[1].split()[0] for command in commands} == {"1280", "2560"}


@pytest.mark.parametrize("page", ["tradeoffs", "tasks"])
def test_who_lacks_an_answer_is_averaged_on_no_page(results: Path, visit: Visit, page: str) -> None:
    forget_answer(results, "lukv", "keydiff")
    site = visit(results, page)
    assert not site.exception
    tables = [each.value for each in site.dataframe if "Configuration" in each.value]
    rows = [
        row
        for frame in tables
        for row in frame.to_dict("records")
        if row["Configuration"] == "lukv x keydiff, prune 0.8"
    ]
    assert all(row.get("Status", "complete") != "complete" or row["Answers"] == row["Samples"] for row in rows)
    if page == "tradeoffs":
        assert not rows
        assert any("1 incomplete" in caption.value for caption in site.caption)
