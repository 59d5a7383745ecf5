"""The page of budgets, run without a browser."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from streamlit.testing.v1 import AppTest

from lukv_bench.db.arrays import pack_arrays
from lukv_bench.db.schema import Profile
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url


def test_two_configurations_are_shown_side_by_side(filled: Path, visit: Callable[..., AppTest]) -> None:
    site = visit(filled, "budgets", place="niah 2560", a="uniform x keydiff, prune 0.5", b="lukv x keydiff, prune 0.8")
    assert not site.exception
    summary = site.dataframe[0].value
    assert list(summary["configuration"]) == ["A: uniform x keydiff, prune 0.5", "B: lukv x keydiff, prune 0.8"]
    assert list(summary["kept_per_head"].round(6)) == [500, 199]
    assert list(summary["n_answers"]) == [12, 12]
    assert len(site.get("plotly_chart")) == 4  # A, B, the difference, and how the layers' shares move


def test_at_first_uniform_and_lukv_of_one_scorer_and_budget_are_compared(
    filled: Path, visit: Callable[..., AppTest]
) -> None:
    site = visit(filled, "budgets")
    chosen = {box.label: box.value for box in site.selectbox}
    assert chosen["Configuration A"] == "uniform x keydiff, prune 0.8"
    assert chosen["Configuration B"] == "lukv x keydiff, prune 0.8"


def test_a_database_without_counts_says_so(planned: Path, visit: Callable[..., AppTest]) -> None:
    site = visit(planned, "budgets")
    assert not site.exception
    assert "No answer of A and B" in site.info[0].value


def test_the_curves_of_the_profile_of_b_are_shown(results: Path, visit: Callable[..., AppTest]) -> None:
    curve = np.linspace(1, 0, 99)[:, None, None].repeat(2, axis=1).repeat(2, axis=2)
    profile = Profile(hash="f" * 64, model_revision="m" * 64, scorer="keydiff", arrays=pack_arrays({"curve": curve}))
    with Store.open(resolve_url(str(results)), create=False) as store:
        store.put(profile)
        with store.writing() as connection:
            connection.exec_driver_sql(
                f"UPDATE configuration SET profile_hash = '{'f' * 64}' WHERE allocator = 'lukv' AND scorer = 'keydiff'"
            )
    site = visit(results, "budgets", layer="1")
    assert not site.exception
    assert len(site.get("plotly_chart")) == 5
    assert any("fitted for scorer keydiff" in caption.value for caption in site.caption)
