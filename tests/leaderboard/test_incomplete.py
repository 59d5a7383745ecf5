"""A configuration that lacks a single answer: every page that shows it says so, and none averages it."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from lukv_bench.leaderboard.incomplete import missing_answers, over_all_samples

from .conftest import METHODS, PLACES

Visit = Callable[..., AppTest]
NAME, OTHER = "lukv x keydiff, prune 0.8", "lukv x snapkv, prune 0.8"
LACKS = "niah 2560: 11 of 12 samples"

CELL = """(SELECT cell.id FROM cell JOIN configuration ON configuration.id = configuration_id WHERE allocator = 'lukv'
    AND scorer = 'keydiff' AND ratio = '0.8' AND task = 'niah' AND length = 2560)"""
FORGET = f"""DELETE FROM answer WHERE cell_id = {CELL}
    AND sample_id = (SELECT id FROM sample WHERE task = 'niah' AND length = 2560 AND ordinal = 11)"""
LIMIT = f"UPDATE cell SET samples_asked = 11 WHERE id = {CELL}"


@pytest.fixture(scope="module", params=["an answer is missing", "fewer samples were asked for"])
def lacking(filled: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A database in which NAME lacks one of the 12 answers that all others have."""
    path = Path(shutil.copy(filled, tmp_path_factory.mktemp("lacking") / "results.db"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(FORGET)
        if request.param == "fewer samples were asked for":
            connection.execute(LIMIT)
    return path


def warnings(site: AppTest) -> str:
    assert not site.exception, [error.message for error in site.exception]
    return "\n".join(warning.value.replace("\\", "") for warning in site.warning)


def table(site: AppTest, column: str) -> pd.DataFrame:
    """The first table that has a column."""
    return next(each.value for each in site.dataframe if column in each.value)


def row_of(name: str, frame: pd.DataFrame) -> "pd.Series[object]":
    return frame.set_index("Configuration").loc[name]


def test_the_leaderboard_ranks_it_nowhere_and_says_what_it_lacks(lacking: Path, visit: Visit) -> None:
    site = visit(lacking)
    assert not site.exception
    ranked = table(site, "Rank")
    assert ("lukv x keydiff", "prune 0.8") not in set(zip(ranked["Method"], ranked["Budget"], strict=True))
    assert len(ranked) == len(METHODS) - 1
    missing = table(site, "Missing")
    assert missing[["Method", "Missing"]].to_numpy().tolist() == [["lukv x keydiff", LACKS]]
    assert site.download_button(key="download-incomplete")
    site.multiselect(key="task").set_value(["fwe"]).run()
    assert len(table(site, "Rank")) == len(METHODS)  # on another task it is complete


def test_trade_offs_leave_it_out_by_its_name(lacking: Path, visit: Visit) -> None:
    site = visit(lacking, "tradeoffs")
    assert f"**{NAME}** ({LACKS})" in warnings(site)
    drawn = [json.loads(chart.proto.spec) for chart in site.get("plotly_chart")]
    names = {point[0] for figure in drawn for trace in figure["data"] for point in trace.get("customdata", ())}
    assert NAME not in names
    assert OTHER in names


def test_tasks_show_it_without_a_score_where_it_lacks_an_answer(lacking: Path, visit: Visit) -> None:
    site = visit(lacking, "tasks", place="niah 2560")
    assert f"**{NAME}** ({LACKS})" in warnings(site)
    row = row_of(NAME, table(site, "Status"))
    assert (row["Status"], row["Answers"], row["Samples"]) == ("partial", 11, 12)
    assert pd.isna(row["Score"])


def test_compare_says_it_and_leaves_the_task_out_of_the_mean(lacking: Path, visit: Visit) -> None:
    site = visit(lacking, "compare", a=OTHER, b=NAME)
    assert f"**{NAME}** ({LACKS})" in warnings(site)
    assert any("A 12 answers, B 11" in caption.value for caption in site.caption)
    counts = table(site, "difference").set_index(["task", "length"])["n_samples"]
    assert counts.loc["niah", 2560] == 11
    assert counts.loc["all tasks"].tolist() == [24]


def test_budgets_samples_and_about_say_it_of_what_they_show(lacking: Path, visit: Visit) -> None:
    for page, chosen in (("budgets", {"a": OTHER, "b": NAME}), ("samples", {"samples_of": [OTHER, NAME]})):
        assert f"**{NAME}** ({LACKS})" in warnings(visit(lacking, page, **chosen)), page
    site = visit(lacking, "about", result=NAME)
    assert f"**{NAME}** ({LACKS})" in warnings(site)
    setting = table(site, "property").set_index("property")["value"]
    assert setting["results"] == str(len(METHODS) * len(PLACES))
    assert setting["of them complete"] == str(len(METHODS) * len(PLACES) - 1)
    site.selectbox(key="result").set_value(OTHER).run()
    assert not warnings(site)


def test_two_that_answered_the_same_fewer_samples_are_compared_over_all_tasks(results: Path, visit: Visit) -> None:
    with closing(sqlite3.connect(results)) as connection, connection:
        for scorer in ("keydiff", "snapkv"):
            connection.execute(FORGET.replace("keydiff", scorer))
            connection.execute(LIMIT.replace("keydiff", scorer))
    site = visit(results, "compare", a=OTHER, b=NAME)
    assert LACKS in warnings(site)
    counts = table(site, "difference").set_index(["task", "length"])["n_samples"]
    assert counts.loc["all tasks"].tolist() == [35]


def test_a_task_that_was_not_begun_is_missing_with_none_of_its_samples() -> None:
    cells = pd.DataFrame(
        {
            "configuration": ["a", "a", "b", "c", "c"],
            "task": ["fwe", "qa", "fwe", "fwe", "qa"],
            "length": pd.array([1280, None, 1280, 1280, None], dtype="Int64"),
            "status": ["complete", "complete", "complete", "failed", "complete"],
            "n": [12, 8, 12, 3, 5],
            "samples_asked": [12, 8, 12, 12, 5],
            **dict.fromkeys(("score", "stderr", "interval_low", "interval_high"), 50.0),
        }
    )
    lowered = over_all_samples(cells)
    assert list(lowered["status"]) == ["complete", "complete", "complete", "failed", "partial"]
    assert list(lowered["score"].isna()) == [False, False, False, False, True]
    assert list(cells["status"]) == list(lowered["own_status"])
    assert missing_answers(lowered) == {
        "b": ["qa: 0 of 8 samples"],
        "c": ["fwe 1280: 3 of 12 samples", "qa: 5 of 8 samples"],
    }
