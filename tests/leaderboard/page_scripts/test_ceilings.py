"""Floors and ceilings: on the page of evidence, as a column of the ranking, and in no rank."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from ..ceilings_database import RIGHT
from ..conftest import METHODS, N_SAMPLES

Visit = Callable[..., AppTest]
ORACLES = {"oracle x oracle", "oracle x keydiff", "uniform x oracle"}


def score(right: int) -> float:
    return 100 * right / N_SAMPLES


def test_the_page_shows_each_score_between_its_floor_and_its_oracle(ceilinged: Path, visit: Visit) -> None:
    site = visit(ceilinged, "evidence", place="niah 1280")
    assert not site.exception
    assert [each.value for each in site.header] == ["Floors and ceilings"]
    assert any("where its evidence stands" in each.value for each in site.info)
    table = site.dataframe[0].value.set_index("Configuration")
    for budget in ("0.5", "0.8"):
        own = table[table.index.str.contains(f"prune {budget}", regex=False)]
        kinds = dict(zip(own.index.str.split(",").str[0], own["Kind"], strict=True))
        assert {name for name, kind in kinds.items() if kind == "oracle"} == ORACLES
        assert {name for name, kind in kinds.items() if kind == "floor"} == {
            "uniform x streaming_llm",
            "uniform x random",
        }
        floor, oracle = (score(RIGHT[pair]) for pair in (("uniform", "streaming_llm"), ("oracle", "oracle")))
        for method in METHODS:
            if method.ratio == budget:
                (row,) = [
                    row
                    for name, row in own.iterrows()
                    if str(name).startswith(f"{method.allocator} x {method.scorer},")
                ]
                own_score = score(int(sum(method.scores(("niah", 1280)))))
                assert row["Score"] == pytest.approx(own_score)
                assert row["Of oracle, %"] == pytest.approx(100 * (own_score - floor) / (oracle - floor))
    assert len(table) == 2 * (len(RIGHT) + 6)
    assert len(site.get("plotly_chart")) == 1


def test_the_ranking_has_the_share_and_no_oracle(ceilinged: Path, filled: Path, visit: Visit) -> None:
    site, before = (visit(record, columns="Fidelity") for record in (ceilinged, filled))
    assert not site.exception
    table: pd.DataFrame = site.dataframe[0].value
    assert len(table) == len(METHODS) + 2 * 2, "the floors are ranked"
    assert not table["Method"].str.contains("oracle").any()
    shares = table.set_index(["Method", "Budget"])["Of oracle, %"]
    assert shares[("uniform x streaming_llm", "prune 0.8")] == 0
    assert shares[("uniform x random", "prune 0.8")] == pytest.approx(-100 * 2 / 10)
    assert pd.isna(shares[("full", "full")])
    assert "Of oracle, %" not in before.dataframe[0].value


@pytest.mark.parametrize("page", ["tradeoffs", "tasks", "compare"])
def test_other_pages_take_oracles_along_and_let_none_win(ceilinged: Path, visit: Visit, page: str) -> None:
    site = visit(ceilinged, page)
    assert not site.exception
    if page == "tradeoffs":
        for shown in site.dataframe:
            names = shown.value.iloc[:, 0].astype(str)
            assert not names.str.contains("oracle").any()
    if page == "tasks":
        names = list(site.dataframe[0].value["Configuration"])
        assert all("oracle" in name for name in names[-6:])
        assert not any("oracle" in name for name in names[:-6])


def test_without_them_the_page_says_how_to_get_them(evidenced: Path, visit: Visit) -> None:
    site = visit(evidenced, "evidence")
    assert any("run --floors --oracles" in each.value for each in site.info)
