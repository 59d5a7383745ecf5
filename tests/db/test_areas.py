"""Which configurations make a curve, and who is ranked with whom."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lukv_bench.db.areas import AREA_COLUMNS, area_frame
from lukv_bench.db.statistics.intervals import score_intervals
from lukv_bench.db.statistics.table import ScoreTable

N = 20


def about(method: str, budget: str, **spec: Any) -> dict[str, Any]:
    kind, _, amount = budget.partition(" ")
    return {
        "allocator": method.split(" x ")[0],
        "method": method,
        "budget": budget,
        "ratio": float(amount) if kind == "prune" else 0.0 if method == "full" else float("nan"),
        "keep_tokens": int(amount) if kind == "keep" else pd.NA,
        "spec": {"ratio": budget, **spec},
    }


def table_of(configurations: dict[str, dict[str, Any]], right: dict[str, float]) -> ScoreTable:
    scores = [[100.0 * (place < right[name] * N) for place in range(N)] for name in configurations]
    return ScoreTable(list(configurations), np.array(scores), np.zeros(N, np.int64), np.arange(N))


def test_only_methods_with_the_same_budgets_are_ranked_together() -> None:
    configurations = {
        "f": about("full", "-"),
        **{f"a{b}": about("lukv x keydiff", f"prune {b}") for b in (0.5, 0.75, 0.9)},
        **{f"b{b}": about("uniform x keydiff", f"prune {b}") for b in (0.5, 0.9)},
        **{f"c{b}": about("adakv x keydiff", f"prune {b}") for b in (0.5, 0.9)},
        **{f"k{b}": about("lukv x keydiff", f"keep {b}") for b in (64, 256)},
        "s": about("global x keydiff", "prune 0.5"),
        "t": about("global x keydiff", "keep 64"),
    }
    right = dict.fromkeys(configurations, 0.5) | {
        "f": 1.0,
        "a0.5": 0.9,
        "k64": 0.0,
        "k256": 1.0,
        "c0.5": 1.0,
        "c0.9": 1.0,
    }
    frame, single = area_frame(table_of(configurations, right), configurations)
    assert list(frame.columns) == list(AREA_COLUMNS)
    assert single == ["global x keydiff"] * 2
    assert [(row.method, row.budgets, row.rank, row.configuration) for row in frame.itertuples()] == [
        ("lukv x keydiff", ["prune 0.5", "prune 0.75", "prune 0.9"], 1, "a0.5"),
        ("adakv x keydiff", ["prune 0.5", "prune 0.9"], 1, "c0.5"),
        ("uniform x keydiff", ["prune 0.5", "prune 0.9"], 2, "b0.5"),
        ("lukv x keydiff", ["keep 256", "keep 64"], 1, "k256"),
    ]
    trapezoids = np.trapezoid([50, 50, 90], [0.1, 0.25, 0.5]) / 0.4
    assert frame["area"].tolist() == pytest.approx([trapezoids, 100, 50, 50])
    assert frame["loss_percent"].tolist() == pytest.approx([100 - trapezoids, 0, 50, 50])
    assert (frame["loss_low"] <= frame["loss_percent"]).all()
    assert (frame["loss_percent"] <= frame["loss_high"]).all()


def test_the_interval_is_that_of_a_score() -> None:
    """A method that answers alike at every budget is one score."""
    configurations = {str(b): about("lukv x keydiff", f"prune {b}") for b in (0.5, 0.9)}
    table = table_of(configurations, {"0.5": 0.7, "0.9": 0.7})
    (row,) = area_frame(table, configurations)[0].to_dict("records")
    low, high = score_intervals(table)
    assert (row["interval_low"], row["interval_high"]) == pytest.approx((low[0], high[0]))
    assert np.isnan([row["loss_percent"], row["loss_low"], row["loss_high"]]).all(), "no full cache was run"


def test_what_differs_beside_the_budget_is_another_curve() -> None:
    """And one budget twice, by an unreadable spec, makes none."""
    configurations = {
        f"{sink} {b}": about("lukv x keydiff", f"prune {b}", sink=sink) for sink in (0, 4) for b in (0.5, 0.9)
    }
    frame, single = area_frame(table_of(configurations, dict.fromkeys(configurations, 0.5)), configurations)
    assert (len(frame), single) == (2, [])
    broken = {name: row | {"spec": "no object"} for name, row in configurations.items()}
    frame, single = area_frame(table_of(broken, dict.fromkeys(broken, 0.5)), broken)
    assert (len(frame), single) == (0, ["lukv x keydiff"])
    assert list(frame.columns) == list(AREA_COLUMNS)
