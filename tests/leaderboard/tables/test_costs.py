"""Who is cheaper, and what may be held against each other."""

from typing import Any

import pandas as pd
import pytest

from lukv_bench.db.cost_rows import COST_COLUMNS
from lukv_bench.leaderboard.tables.costs import ORDERS, at_conditions, cost_table, failed, newest


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    """Measurements with what a test cares for."""
    usual: dict[str, Any] = dict.fromkeys(COST_COLUMNS) | {
        "status": "done",
        "setting": "a model",
        "machine": "a desktop",
        "task": "niah",
        "length": 1024,
        "method": "uniform x keydiff",
        "budget": "prune 0.5",
        "score": None,
        "spec": {},
    }
    return pd.DataFrame(
        [usual | {"configuration": f"c{number}"} | row for number, row in enumerate(rows)], dtype="object"
    )


def seconds(low: float, median: float, high: float, **other: Any) -> dict[str, Any]:
    return {"tpot_s": median, "tpot_s_q1": low, "tpot_s_q3": high, **other}


def test_a_rank_is_one_more_than_the_rows_that_are_certainly_cheaper() -> None:
    costs = frame(seconds(4, 5, 6), seconds(1, 2, 3), seconds(2.5, 3, 4), seconds(6.5, 7, 8), {})
    table = cost_table(costs, "seconds per token")
    assert table["configuration"].tolist() == ["c1", "c2", "c0", "c3", "c4"]
    assert table["rank"].tolist()[:4] == [1, 1, 2, 4]
    assert pd.isna(table["rank"].iloc[4])


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_ranks_by_its_own_number(order: str) -> None:
    column, low, high = ORDERS[order]
    if column == "peak_mib":
        rows = [{"peak_bytes": (10 + n) * 2**20, "model_bytes": 2**20} for n in (2, 0, 1)]
    else:
        rows = [{column: n, low: n, high: n} for n in (2.0, 0.0, 1.0)]
    table = cost_table(frame(*rows), order)
    assert table["configuration"].tolist() == ["c1", "c2", "c0"]
    assert table["rank"].tolist() == [1, 2, 3]


def test_machines_settings_and_tasks_are_never_mixed() -> None:
    costs = frame(
        {}, {"machine": "a card"}, {"setting": "another"}, {"task": "fwe"}, {"length": 2048}, {"length": None}
    )
    assert at_conditions(costs, "a model", "a desktop", ("niah", 1024))["configuration"].tolist() == ["c0"]
    assert at_conditions(costs, "a model", "a desktop", ("niah", None))["configuration"].tolist() == ["c5"]


def test_the_newest_measurement_of_a_configuration_counts_and_a_failed_one_does_not() -> None:
    rows = [
        {"configuration": "a", "started_at": day, "cost": day} for day in ("2026-02-01", "2026-03-01", "2026-01-01")
    ]
    broken = {"configuration": "a", "started_at": "2026-04-01", "status": "failed", "error": "out of memory"}
    costs = frame(*rows, broken)
    assert newest(costs)["cost"].tolist() == ["2026-03-01"]
    assert failed(costs).to_dict("records") == [
        {"method": "uniform x keydiff", "budget": "prune 0.5", "error": "out of memory"}
    ]
