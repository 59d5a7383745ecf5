"""The remaining time, held against what the samples of real runs took (recorded by tests/benchmarks/record_pace.py)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.run.remaining import Load, Observed, Pace, Work

TRACES = sorted((Path(__file__).parent / "traces").glob("*.json"))
SMALL = Load(("niah", 512), 500, 10, 128)


def load(values: dict[str, Any]) -> Load:
    return Load(**values | {"place": tuple(values["place"])})


def left(works: list[Work], done: list[Observed]) -> list[Work]:
    """The work without the samples that are done."""
    rest = []
    for work in works:
        mine = [one for one in done if one.load == work.load]
        n_cells = work.n_cells - sum(one.n_cells for one in mine)
        rest.append(replace(work, n_samples=work.n_samples - len(mine), n_cells=n_cells))
    return rest


def test_there_are_traces() -> None:
    assert len(TRACES) >= 3


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_after_two_samples_the_rest_is_known_within_a_third(path: Path) -> None:
    trace = json.loads(path.read_text(encoding="utf-8"))
    works = [Work(**work | {"load": load(work["load"])}) for work in trace["works"]]
    observed = [Observed(**one | {"load": load(one["load"])}) for one in trace["observed"]]
    assert len(observed) == sum(work.n_samples for work in works) >= 5
    for n_done in range(2, len(observed)):
        done, rest = observed[:n_done], observed[n_done:]
        took = sum(one.prefill_s + one.cells_s for one in rest)
        estimate = Pace(trace["attention_tokens"], done).seconds(left(works, done))
        assert estimate == pytest.approx(took, rel=1 / 3), f"after {n_done} samples"


def test_nothing_is_estimated_before_a_sample_is_answered() -> None:
    assert Pace(6000).seconds([Work(SMALL, 3, 9)]) is None


def test_the_first_sample_does_not_count_once_there_is_another() -> None:
    first, second = Observed(SMALL, 3, 60.0, 30.0, 30), Observed(SMALL, 3, 4.0, 3.0, 30)
    assert Pace(6000, [first, second]).seconds([Work(SMALL, 2, 6)]) == pytest.approx(2 * 4 + 6 * 1)


def test_a_longer_context_costs_more_than_its_share_and_a_longer_answer_no_more_than_its_room() -> None:
    """A context as long as the point where attention costs as much as the rest: twice the price of a token."""
    seen = [Observed(SMALL, 1, 1.0, 2.0, 30)]
    long = Load(("niah", 6000), 6000, 10, 128)
    assert Pace(6000, seen).seconds([Work(long, 1, 0)]) == pytest.approx(12 * 2 / (1 + 500 / 6000))
    short = Load(("yes or no", 512), 500, 10, 10)
    assert Pace(6000, seen).seconds([Work(short, 0, 1)]) == pytest.approx(2.0 * 20 / 40)
