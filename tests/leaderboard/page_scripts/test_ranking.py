"""The leaderboard page."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from streamlit.testing.v1 import AppTest

Visit = Callable[..., AppTest]


def table(site: AppTest, column: str) -> pd.DataFrame:
    """The first table that has a column."""
    assert not site.exception, [error.message for error in site.exception]
    return next(each.value for each in site.dataframe if column in each.value)


def ranks(site: AppTest) -> dict[tuple[str, str], int]:
    frame = table(site, "Rank")
    return {(row.Method, row.Budget): row.Rank for row in frame.itertuples()}


def test_who_answers_alike_shares_a_rank_and_who_differs_does_not(filled: Path, visit: Visit) -> None:
    ranked = ranks(visit(filled))
    assert ranked["lukv x keydiff", "prune 0.8"] == ranked["lukv x snapkv", "prune 0.8"] == 1
    assert ranked["uniform x keydiff", "prune 0.8"] > ranked["full", "full"] == 1


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


def test_nothing_is_shown_of_one_configuration_until_one_is_chosen(filled: Path, visit: Visit) -> None:
    site = visit(filled)
    assert site.selectbox(key="configuration").value is None
    assert not site.code
    site.selectbox(key="configuration").set_value("full").run()
    assert "--allocator full" in site.code[-1].value
    assert set(table(site, "Status")["Status"]) == {"complete"}


def test_a_configuration_shows_the_commands_that_reproduce_it(filled: Path, visit: Visit) -> None:
    site = visit(filled, configuration="lukv x snapkv, prune 0.8")
    commands = site.code[-1].value.splitlines()
    assert len(commands) == 3
    assert all("--allocator lukv --scorer snapkv" in command and "--ratio 0.8" in command for command in commands)
    assert {command.split("--length ")[1].split()[0] for command in commands} == {"1280", "2560"}
