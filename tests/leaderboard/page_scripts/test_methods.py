"""The page of methods, run without a browser."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from streamlit.testing.v1 import AppTest

from lukv_bench.db.schema import MethodPage
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url
from lukv_bench.leaderboard.tables.methods import ARGUMENT_COLUMNS, argument_table


def test_a_method_is_shown_as_its_run_recorded_it(results: Path, visit: Callable[..., AppTest]) -> None:
    floor = {"name": "floor", "type": "int", "default": 1, "required": False, "meaning": "Least tokens of a head."}
    page = MethodPage(
        kind="allocator",
        name="mine",
        distribution="my-package",
        version="2.0",
        summary="Mine.",
        source="https://example.org/mine",
        details="```text\nn = 1\n```\n\n**Differs from the paper:** in nothing.",
        arguments=[floor],
    )
    with Store.open(resolve_url(str(results)), create=False) as store:
        store.put(page)
    site = visit(results, "methods", method="allocator mine (my-package 2.0)")
    assert not site.exception
    assert site.code[0].value == "n = 1"
    written = [each.value for each in site.markdown]
    assert r"**Differs from the paper\:** in nothing\." in written
    assert any(each.endswith("(<https://example.org/mine>)") for each in written)
    arguments, listed = (each.value for each in site.table)
    assert arguments.to_dict("list") == {
        "Argument": ["floor"],
        "Type": ["int"],
        "Default": ["1"],
        "Meaning": [r"Least tokens of a head\."],
    }
    assert "mine" in list(listed["Name"])
    assert len(site.get("download_button")) == 2


def test_arguments_of_another_shape_are_shown_as_far_as_they_go() -> None:
    table = argument_table([{"name": "a", "required": True}, {"default": None}, {"name": {"x": [1]}, "meaning": 3}])
    assert list(table.columns) == list(ARGUMENT_COLUMNS)
    assert list(table["default"].where(table["default"].notna(), "")) == ["required", "None", ""]
    assert argument_table([]).empty
    assert isinstance(table, pd.DataFrame)
