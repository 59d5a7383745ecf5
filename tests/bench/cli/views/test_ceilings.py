"""Scores as shares of the way from floor to oracle, and oracles that are shown and ranked nowhere."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lukv_bench as lb
from lukv_bench.db.ceilings import configuration_shares, shares_of_oracle
from lukv_bench.db.results import read_results
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

if TYPE_CHECKING:
    from .conftest import MakeDatabase

N = 10
FLOOR, CEILING = "uniform x streaming_llm", "oracle x oracle"
SCORES = {
    "full": (100, 100, 100),
    FLOOR: (20, 40, 0),
    "uniform x random": (0, 0, 0),
    "uniform x keydiff": (10, 0, 0),
    "lukv x keydiff": (50, 100, 0),
    "uniform x oracle": (70, 40, 0),
    "oracle x keydiff": (80, 40, 0),
    "stranger_oracle x keydiff": (90, 40, 0),
    CEILING: (100, 30, 100),
}
"""On three tasks: the oracle is above the floor, below it, and incomplete."""
TASKS = ("niah_single_1", "niah_single_2", "vt")


def right(score: int, n: int = N) -> list[float]:
    return [100.0] * (n * score // 100) + [0.0] * (n - n * score // 100)


@pytest.fixture(scope="module")
def measured(once: "MakeDatabase") -> Path:
    scores = {
        name if name == "full" else f"{name}, prune {ratio}": {
            task: right(of_task) for task, of_task in zip(TASKS, of_tasks, strict=True)
        }
        for ratio in ("0.8", "0.9")
        for name, of_tasks in SCORES.items()
    }
    path = once(scores)
    with Store.open(resolve_url(str(path)), create=True) as store, store.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE cell SET samples_asked = 15, score = NULL, stderr = NULL WHERE task = 'vt' AND configuration_id IN "
            "(SELECT id FROM configuration WHERE allocator = 'oracle' AND scorer = 'oracle')"
        )
    return path


def test_a_share_is_of_the_way_from_the_floor_to_the_oracle_and_missing_where_there_is_none(
    lukv_bench: Any, measured: Path
) -> None:
    rows = lukv_bench("results", "--db", measured, "--json").rows
    first = {row["label"]: row["share_of_oracle"] for row in rows if row["task"] == TASKS[0] and row["ratio"] == 0.8}
    assert first == {
        f"{name}, prune 0.8": pytest.approx(100 * (score - 20) / 80)
        for name, (score, *_) in SCORES.items()
        if name != "full"
    }
    others = [row["share_of_oracle"] for row in rows if row["task"] != TASKS[0] or row["allocator"] == "full"]
    assert others
    assert set(others) == {None}, "the oracle is below the floor, or lacks samples; the full cache has no budget"
    oracles = {row["label"].split(",")[0] for row in rows if row["is_oracle"]}
    assert oracles == {name for name in SCORES if "oracle" in name}
    csv_rows = list(csv.DictReader(io.StringIO(lukv_bench("results", "--db", measured, "--csv").out)))
    assert [(row["is_oracle"], row["share_of_oracle"]) for row in csv_rows] == [
        (str(row["is_oracle"]), "" if row["share_of_oracle"] is None else str(row["share_of_oracle"])) for row in rows
    ]


def test_a_floor_over_other_samples_gives_no_share(database: "MakeDatabase") -> None:
    names = (FLOOR, CEILING, "lukv x keydiff", "uniform x random")
    scores = {f"{name}, prune 0.8": {"niah_single_1": right(50 if name == CEILING else 0)} for name in names}
    scores["full"] = {"niah_single_1": right(100)}
    scores["lukv x keydiff, prune 0.8"] = {"niah_single_1": right(80, 2 * N)}
    with Store.open(resolve_url(str(database(scores))), create=False) as store:
        rows = read_results(store)
        shares = shares_of_oracle(rows)
    of = {(row["allocator"], row["scorer"]): shares.get(row["cell"]) for row in rows}
    assert of["uniform", "random"] == 0
    assert of["lukv", "keydiff"] is None


def test_over_several_tasks_it_is_of_the_mean_scores(measured: Path) -> None:
    with Store.open(resolve_url(str(measured)), create=False) as store:
        rows = [row for row in read_results(store) if row["task"] in TASKS[:2] and row["ratio"] in (0.0, 0.8)]
    shares = configuration_shares(rows, lambda row: str(row["label"]))
    assert shares["lukv x keydiff, prune 0.8"] == pytest.approx(100 * (75 - 30) / (65 - 30))
    assert shares[f"{FLOOR}, prune 0.8"] == 0
    assert "full" not in shares
    two_floors = [*rows, *(row | {"cell": row["cell"] + "2"} for row in rows if row["scorer"] == "streaming_llm")]
    assert {shares_of_oracle(two_floors).get(row["cell"]) for row in rows if row["scorer"] == "keydiff"} == {None}


def test_the_table_marks_oracles_and_says_what_they_are(lukv_bench: Any, measured: Path) -> None:
    out = lukv_bench("results", "--db", measured, "--task", TASKS[0]).out
    lines = {" ".join(line.split()[2:5]): line for line in out.splitlines() if "prune 0.8" in line}
    assert "oracle, 75%" in lines["oracle keydiff prune"]
    assert "38%" in lines["lukv keydiff prune"]
    assert "oracle" not in lines["lukv keydiff prune"]
    assert "oracle, 88%" in lines["stranger_oracle keydiff prune"]
    assert "an oracle has read what the reference answer attends to, and is ranked nowhere" in " ".join(out.split())
    (row,) = [row for row in lukv_bench("results", "--db", measured, "--json").rows if _is(row, "oracle x keydiff")]
    assert row["gain"][0] == 70, "held against uniform x keydiff"
    (row,) = [row for row in lukv_bench("results", "--db", measured, "--json").rows if _is(row, CEILING)]
    assert row["gain"] is None, "uniform x oracle is no baseline"


def _is(row: dict[str, Any], name: str) -> bool:
    return row["label"] == f"{name}, prune 0.8" and row["task"] == TASKS[0]


def test_oracles_are_in_no_ranking_no_frontier_no_area_and_no_recommendation(
    lukv_bench: Any, measured: Path, tiny: Path
) -> None:
    only = ("--db", measured, "--task", TASKS[0], "--json")
    for view in (["--by", "task"], ["--pareto"], ["--areas"]):
        methods = {row["method"] for row in lukv_bench("results", *only, *view).rows}
        assert methods
        assert not {name for name in methods if "oracle" in name}, view
    need = ["--context-length", "1000", "--memory", "1MiB", "--min-quality", "40%"]
    ended = lukv_bench("recommend", "--model", tiny, *only, *need)
    assert {row["method"] for row in ended.rows} == {name for name in SCORES if "oracle" not in name and name != "full"}
    assert "oracle" not in lukv_bench("results", "--db", measured, "--by", "task").out


def test_python_has_the_same_columns(measured: Path) -> None:
    frame = lb.read(measured).cells(task=TASKS[0])
    assert frame["is_oracle"].sum() == 8
    assert frame["share_of_oracle"].notna().sum() == 2 * (len(SCORES) - 1)
