"""`run --batch`: configurations that decode together answer as each alone, and claim no seconds of their own."""

from pathlib import Path
from typing import Any

import pytest

COMMAND = ("--tasks", "niah_single_1", "--length", "360", "--limit", "2", "--ratio", "0.3", "--ratio", "0.6", "--json")


@pytest.fixture(scope="module")
def run_batch(tiny: Path, lukv_bench: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    def run(*more: object) -> Any:
        database = tmp_path_factory.mktemp("batch") / "out.db"
        return lukv_bench("run", "--model", tiny, "--allocator", "uniform", *COMMAND, "--db", database, *more)

    return run


def test_a_batch_gives_the_scores_bytes_and_ids_of_each_alone_but_no_seconds(run_batch: Any) -> None:
    alone, together = run_batch().rows, run_batch("--batch", "8").rows
    assert len(alone) == len(together) == 3
    for one, other in zip(alone, together, strict=True):
        same = [name for name in one if not name.endswith("_s")]
        assert {name: one[name] for name in same} == {name: other[name] for name in same}
        assert one["ttft_s"] > 0
        assert one["tpot_s"] > 0
        assert other["prefill_s"] > 0
        assert (other["evict_s"], other["ttft_s"], other["tpot_s"]) == (None, None, None)


def test_a_scorer_that_fails_takes_no_other_configuration_of_its_batch_along(
    run_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lukv_bench.bench.run import answer

    choose = answer._choose

    def broken(loaded: Any, cell: Any, context: Any) -> Any:
        if cell.method.configuration.ratio == "0.3":
            raise ArithmeticError("no good")
        return choose(loaded, cell, context)

    monkeypatch.setattr(answer, "_choose", broken)
    ended = run_batch("--batch", "8")
    assert ended.code == 1
    assert [row["status"] for row in ended.rows] == ["complete", "failed", "complete"]


def test_a_batch_of_none_is_refused(refused: Any) -> None:
    refused(["run", "--batch", "0"], "--batch", "at least 1")
