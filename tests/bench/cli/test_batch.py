"""`run --batch`: configurations that decode together answer as each alone, and claim no seconds of their own."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from lukv_bench.bench.api.finished import FinishedRun
from lukv_bench.bench.cli import run
from lukv_bench.bench.run import answer, worker

COMMAND = ("--tasks", "niah_single_1", "--length", "360", "--limit", "2", "--ratio", "0.3", "--ratio", "0.6", "--json")

FIDELITY = ("n_fidelity", "kl_nats", "agreement", "reference_nll", "full_reference_nll")


@pytest.fixture(scope="module")
def run_batch(tiny: Path, lukv_bench: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    def run_once(*more: object) -> Any:
        database = tmp_path_factory.mktemp("batch") / "out.db"
        return lukv_bench("run", "--model", tiny, "--allocator", "uniform", *COMMAND, "--db", database, *more)

    return run_once


def test_a_batch_gives_the_scores_bytes_and_ids_of_each_alone_but_no_seconds(run_batch: Any) -> None:
    alone = run_batch("--batch", "1")
    assert "saved by drafts" not in alone.err
    assert all(row["ttft_s"] > 0 and row["tpot_s"] > 0 for row in alone.rows)
    for batch in ((), ("--batch", "8", "--no-drafts"), ("--max-memory", "0.001")):
        together = run_batch(*batch)
        assert len(alone.rows) == len(together.rows) == 3
        for one, other in zip(alone.rows, together.rows, strict=True):
            same = [name for name in one if not name.endswith("_s") and name not in FIDELITY]
            assert (other["n_fidelity"] > 0) == ("--no-drafts" not in batch)
            assert {name: one[name] for name in same} == {name: other[name] for name in same}
            assert other["prefill_s"] > 0
            assert (other["evict_s"], other["ttft_s"], other["tpot_s"]) == (None, None, None)


def test_fidelity_is_measured_unless_it_is_left_out(run_batch: Any) -> None:
    compared, plain = run_batch(), run_batch("--no-fidelity")
    assert [row["n_fidelity"] for row in compared.rows] == [row["n"] for row in compared.rows]
    assert [row["n_fidelity"] for row in plain.rows] == [0] * len(plain.rows)
    full, *others = compared.rows
    assert (full["kl_nats"], full["agreement"]) == (0, 1)
    assert all(row["kl_nats"] > 0 and row["full_reference_nll"] == full["reference_nll"] for row in others)
    assert [row["score"] for row in plain.rows] == [row["score"] for row in compared.rows]


@pytest.mark.parametrize("other", [("--batch", "1"), ("--no-drafts",)])
def test_fidelity_without_drafts_is_refused(run_batch: Any, other: tuple[str, ...]) -> None:
    ended = run_batch("--fidelity", *other)
    assert ended.code == 2
    assert f"--fidelity needs drafts, and {' '.join(other)} has none" in ended.err


@pytest.mark.parametrize(("n_saved", "said"), [(4, "; 4 of 9 decoding steps saved by drafts;"), (0, ";")])
def test_a_run_says_how_many_steps_drafts_saved(capsys: pytest.CaptureFixture[str], n_saved: int, said: str) -> None:
    run._show(FinishedRun(n_new=2, n_steps=9, n_saved=n_saved), "out.db", run.RunOptions(json=True))
    assert f"2 new answers{said} all are in out.db" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("error", "n_failed"), [(torch.OutOfMemoryError("too much"), 1), (ArithmeticError("not finite"), 2)]
)
def test_a_batch_that_fails_is_let_go_before_its_parts_are_tried_and_says_so(
    run_batch: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, n_failed: int
) -> None:
    real, batches = answer.decode, []

    def cramped(loaded: Any, cache: Any, chunks: Any, *more: Any) -> Any:
        if len(chunks) > 1:
            batches.append(weakref.ref(cache.stores[0].kv.keys))
            raise error
        assert all(batch() is None for batch in batches), "the failed batch must not hold its memory any more"
        return real(loaded, cache, chunks, *more)

    monkeypatch.setattr(answer, "decode", cramped)
    ended = run_batch()
    assert ended.code == 0
    assert len(batches) == n_failed, "what memory did not hold is not tried again"
    assert [row["events"] for row in ended.rows] == [{}, {"batch_failed": n_failed}, {"batch_failed": n_failed}]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch", "0"], ("--batch", "at least 1")),
        (["--batch", "many"], ("--batch takes auto or a whole number such as 8, not 'many'",)),
        (["--max-memory", "0"], ("--max-memory takes a number of GiB such as 8, not 0",)),
        (["--batch", "4", "--max-memory", "2"], ("--max-memory is for --batch auto",)),
    ],
)
def test_a_batch_that_cannot_be_is_refused(refused: Any, options: list[str], words: tuple[str, ...]) -> None:
    refused(["run", *options], *words)
