"""A published ledger of an 8B model: eight methods at three budgets on eleven RULER tasks, 100 samples each."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lukv_bench.db.statistics.complete import score_table
from lukv_bench.db.statistics.paired import Paired, compare_pair
from lukv_bench.db.statistics.ranking import parted, rank

Frames = tuple[pd.DataFrame, pd.DataFrame]


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


@pytest.fixture(scope="module")
def ledger(shared_data: Path) -> Frames:
    """Cells and scores of all methods and of the full cache. One method could not be run at one budget."""
    folder = shared_data / "kvdiagnosis"
    compressed = [
        (f"{row['method_display']} {row['retained_budget']}", row["sample_id"], row["compressed_score"])
        for row in lines(folder / "ruler8k.jsonl.gz")
    ]
    full = [
        ("full", row["sample_id"], row["full_score"])
        for row in lines(folder / "fullcache.jsonl.gz")
        if row["dataset"] == "ruler8k"
    ]
    frame = pd.DataFrame([*full, *compressed], columns=["configuration", "sample", "score"])
    frame["task"] = frame["sample"].str.extract(r"^(.*?)(?:_\d{6})+")[0]
    frame["cell"] = frame["configuration"] + " on " + frame["task"]
    frame["score"] *= 100.0
    cells = frame.groupby("cell", sort=False).agg(
        configuration=("configuration", "first"), task=("task", "first"), n=("score", "count")
    )
    cells = cells.reset_index().assign(length=8192)
    cells["status"] = np.where(cells["n"] == 100, "complete", "failed")
    return cells, frame


@pytest.fixture(scope="module")
def against(ledger: Frames) -> Any:
    """Compares two configurations; with `right`, as the ledger counts answers: right when all of it is."""
    table, _ = score_table(*ledger)
    row = {name: number for number, name in enumerate(table.configurations)}

    def compare(a: str, b: str, right: bool = False, tasks: bool = True) -> Paired:
        scores = [table.scores[row[name]] for name in (a, b)]
        one, other = (100.0 * (values == 100) for values in scores) if right else scores
        return compare_pair(one, other, table.task if tasks else 0 * table.task, table.document)

    return compare


def test_answers_lost_and_won_are_the_published_ones(ledger: Frames, against: Any, shared_data: Path) -> None:
    names = [name for name in rank(*ledger)[0]["configuration"] if name != "full"]
    pairs = {name: against(name, "full", right=True) for name in names}
    assert sum(pair.lost for pair in pairs.values()) == 5970
    assert sum(pair.won for pair in pairs.values()) == 527
    own = pd.DataFrame(lines(shared_data / "kvdiagnosis" / "ruler8k.jsonl.gz"))  # its own word on every answer
    flips = own.assign(name=own["method_display"] + " " + own["retained_budget"].astype(str)).groupby("name")
    columns = ["correct_to_wrong_flip", "wrong_to_correct_flip"]
    marked = {name: tuple(int(group[column].eq(True).sum()) for column in columns) for name, group in flips}
    assert {name: marked[name] for name in names} == {name: (pairs[name].lost, pairs[name].won) for name in names}
    assert {name: (pairs[name].lost, pairs[name].won) for name in ("AdaKV 0.25", "SnapKV 0.5", "KeyDiff 0.75")} == {
        "AdaKV 0.25": (233, 15), "SnapKV 0.5": (111, 20), "KeyDiff 0.75": (52, 63),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("a", "b", "published"),
    [
        ("AdaKV 0.25", "SnapKV 0.25", (1.22, 0.32, 2.12)),
        ("AdaKV 0.5", "SnapKV 0.5", (2.65, 1.56, 3.75)),
        ("AdaKV 0.75", "SnapKV 0.75", (0.27, -0.16, 0.69)),
        ("KeyDiff 0.25", "SnapKV 0.25", (-4.27, -7.18, -1.35)),
        ("TOVA 0.25", "SnapKV 0.25", (1.72, -0.74, 4.19)),
    ],
)
def test_paired_differences_are_those_of_the_raw_rows(
    against: Any, a: str, b: str, published: tuple[float, float, float]
) -> None:
    """Published over all samples alike; where each of the eleven tasks is a stratum, the interval is no wider."""
    plain, by_task = against(a, b, tasks=False), against(a, b)
    assert plain.difference == pytest.approx(published[0], abs=0.006)
    assert (plain.low, plain.high) == pytest.approx(published[1:], abs=0.03)
    assert (plain.bootstrap_low, plain.bootstrap_high) == pytest.approx(published[1:], abs=0.25)
    assert by_task.difference == pytest.approx(plain.difference)
    assert by_task.high - by_task.low < plain.high - plain.low + 0.03
    if by_task.p_value < 0.05:
        assert by_task.low > 0 or by_task.high < 0


def test_a_test_of_every_answer_is_more_careful_than_the_interval_of_a_mean(against: Any) -> None:
    """TOVA wins much on some tasks and loses much on others: in the mean it wins, answer by answer neither."""
    pair = against("TOVA 0.25", "SnapKV 0.25")
    assert pair.low > 0
    assert pair.p_value == pytest.approx(0.172, abs=0.001)


def test_ranks_of_the_ledger(ledger: Frames) -> None:
    """Methods that lose next to nothing tie with the full cache; the worst is last, and one is incomplete."""
    ranked, incomplete = rank(*ledger)
    ranks = dict(zip(ranked["configuration"], ranked["rank"], strict=True))
    assert len(ranked) == 24
    assert incomplete["configuration"].tolist() == ["ThinK 0.25"]
    assert ranks["full"] == ranks["ThinK 0.75"] == ranks["QuantizedCache 0.5"] == 1
    assert ranks["AdaKV 0.75"] == ranks["SnapKV 0.75"] == ranks["KeyDiff 0.75"] == 4
    assert ranks["AdaKV 0.25"] == ranks["TOVA 0.25"]
    assert ranks["full"] < ranks["AdaKV 0.5"] < ranks["AdaKV 0.25"] < ranks["StreamingLLM 0.25"] < ranks["ThinK 0.5"]
    table, _ = score_table(*ledger)
    row = table.configurations.index
    is_better = parted(table)
    assert is_better[row("AdaKV 0.5"), row("SnapKV 0.5")]
    assert not is_better[row("AdaKV 0.25"), row("SnapKV 0.25")]
