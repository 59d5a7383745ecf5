"""`run --batch`: configurations that decode together answer as each alone, and claim no seconds of their own."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from lukv_bench.bench.run import answer, worker

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
    real = worker.select_kept

    def broken(loaded: Any, method: Any, *more: Any) -> Any:
        if str(method.budget) == "0.3":
            raise ArithmeticError("no good")
        return real(loaded, method, *more)

    monkeypatch.setattr(worker, "select_kept", broken)
    ended = run_batch("--batch", "8")
    assert ended.code == 1
    assert [row["status"] for row in ended.rows] == ["complete", "failed", "complete"]


def test_a_batch_that_fails_is_let_go_before_each_is_tried_alone_and_says_so(
    run_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, batches = answer.decode, []

    def cramped(loaded: Any, cache: Any, chunks: Any, *more: Any) -> Any:
        if len(chunks) > 1:
            batches.append(weakref.ref(cache.stores[0].kv.keys))
            raise torch.OutOfMemoryError("too much")
        assert batches[-1]() is None, "the failed batch must not hold its memory any more"
        return real(loaded, cache, chunks, *more)

    monkeypatch.setattr(answer, "decode", cramped)
    ended = run_batch("--batch", "8")
    assert ended.code == 0
    assert len(batches) == 2
    assert [row["events"] for row in ended.rows] == [{"batch_failed": 2}] * 3


def test_a_batch_of_none_is_refused(refused: Any) -> None:
    refused(["run", "--batch", "0"], "--batch", "at least 1")
