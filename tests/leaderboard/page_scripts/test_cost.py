"""The page of measured costs."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from streamlit.testing.v1 import AppTest

from ..measured_database import CARD, DESKTOP

Visit = Callable[..., AppTest]


def ranking(site: AppTest) -> pd.DataFrame:
    (table,) = (each.value for each in site.dataframe if "Seconds per token" in each.value)
    return table


def points(site: AppTest) -> list[tuple[Any, ...]]:
    (figure,) = (json.loads(chart.proto.spec) for chart in site.get("plotly_chart"))
    return [
        (name[0], x, y)
        for trace in figure["data"]
        for name, x, y in zip(trace["customdata"], trace["x"], trace["y"], strict=True)
    ]


def test_one_machine_is_ranked_at_a_time(measured: Path, visit: Visit) -> None:
    site = visit(measured, "cost", machine=DESKTOP, measured="niah 1280")
    assert not site.exception
    table = ranking(site)
    assert [name.split()[0] for name in table["Configuration"]] == ["uniform", "lukv", "adakv", "full"]
    assert table["Rank"].tolist() == [1, 1, 3, 4]
    assert table["Seconds per token"].tolist() == [0.1, 0.102, 0.15, 0.2]
    assert table["Tokens/s"].iloc[0] == 10
    assert table["Peak, MiB"].tolist() == [16.0] * 4
    site.selectbox(key="machine").set_value(CARD).run()
    assert ranking(site)["Seconds per token"].iloc[0] == 0.001
    assert any(CARD.split(",")[0] in caption.value for caption in site.caption)


def test_scores_stand_beside_the_cost_of_the_same_configuration(measured: Path, visit: Visit) -> None:
    site = visit(measured, "cost", machine=DESKTOP, measured="niah 1280")
    scores = dict(zip(ranking(site)["Configuration"], ranking(site)["Score"], strict=True))
    assert {(name, x, y) for name, x, y in points(site)} == {
        (name, seconds, scores[name])
        for name, seconds in zip(ranking(site)["Configuration"], ranking(site)["Seconds per token"], strict=True)
    }
    site.button_group(key="cost_against").set_value("bytes kept").run()
    assert {x for _, x, _ in points(site)} == {2.0}


def test_what_failed_is_named_with_its_reason(measured: Path, visit: Visit) -> None:
    site = visit(measured, "cost", machine=CARD, measured="fwe 1280")
    assert not site.exception
    (table,) = (each.value for each in site.dataframe)
    assert table["Reason"].tolist() == ["OutOfMemoryError: too long"]


def test_a_database_with_measurements_alone_shows_them(measured: Path, tmp_path: Path, visit: Visit) -> None:
    alone = tmp_path / "alone.db"
    with sqlite3.connect(measured) as source, sqlite3.connect(alone) as connection:
        source.backup(connection)
        for table in ("answer_allocation", "timing", "answer", "claim", "cell_summary", "cell"):
            connection.execute(f"DELETE FROM {table}")
    site = visit(alone, "cost", machine=DESKTOP, measured="niah 1280")
    assert not site.exception
    assert len(ranking(site)) == 4
    assert "Score" not in ranking(site)
    assert any("No score of these configurations" in each.value for each in site.info)
    assert "shown on the page Cost" in visit(alone).markdown[0].value


def test_without_measurements_the_page_says_what_to_type(filled: Path, visit: Visit) -> None:
    site = visit(filled, "cost")
    assert not site.exception
    assert "run --cost" in site.code[0].value
    assert not site.dataframe
