"""The page of evidence: what was kept of it, and what became of answers that were to be copied."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ..conftest import METHODS, N_SAMPLES

Visit = Callable[..., AppTest]


def test_scores_stand_against_the_evidence_kept(evidenced: Path, visit: Visit) -> None:
    site = visit(evidenced, "evidence", place="niah 1280")
    assert not site.exception
    points, bars = (json.loads(chart.proto.spec) for chart in site.get("plotly_chart"))
    found = [
        (name, round(x), round(y, 6))
        for trace in points["data"]
        for (name,), x, y in zip(trace["customdata"], trace["x"], trace["y"], strict=True)
    ]
    expected = []
    for method in METHODS:
        share = 1.0 if method.ratio is None else 1 - float(method.ratio)
        name = "full" if method.ratio is None else f"{method.allocator} x {method.scorer}, prune {method.ratio}"
        score = 100 * sum(method.scores(("niah", 1280))) / N_SAMPLES
        expected.append((name, round(100 * share), round(score, 6)))
    assert sorted(found) == sorted(expected)
    assert [trace["name"] for trace in bars["data"]] == ["found", "miscopied", "missed"]
    shares = zip(*(trace["y"] for trace in bars["data"]), strict=True)
    assert [sum(share) for share in shares] == pytest.approx([100] * 3)


def test_outcomes_are_counted_by_task_and_budget(evidenced: Path, visit: Visit) -> None:
    site = visit(evidenced, "evidence")
    (table,) = (each.value for each in site.dataframe if "Found, %" in each.value)
    assert set(table["Task"]) == {"niah"}
    row = table[(table["Length"] == 2560) & (table["Budget"] == "prune 0.8")].iloc[0]
    methods = [each for each in METHODS if each.ratio == "0.8"]
    scores = [each.scores(("niah", 2560)) for each in methods]
    n = len(methods) * N_SAMPLES
    assert row["Answers"] == n
    assert row["Found, %"] == pytest.approx(100 * sum(map(sum, scores)) / n)
    miscopied = sum(1 for each in scores for ordinal, score in enumerate(each) if not score and ordinal % 3 == 0)
    assert row["Miscopied, %"] == pytest.approx(100 * miscopied / n)
    assert row["Evidence kept, %"] == pytest.approx(20, abs=0.1)


def test_a_record_without_evidence_says_so(filled: Path, visit: Visit) -> None:
    site = visit(filled, "evidence")
    assert not site.exception
    assert any("where its evidence stands" in each.value for each in site.info)
    assert not site.dataframe
