"""What `run` shows of runs that answer in half precision, and of answers that find something."""

from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

SHORT = ("--tasks", "niah_single_1", "--length", "360")

D = 16
"""Of the tiny model's heads."""


def test_half_precision_halves_the_bytes(tiny: Path, lukv_bench: Any) -> None:
    base = (
        "run",
        "--model",
        tiny,
        *SHORT,
        "--limit",
        "1",
        "--ratio",
        "0.5",
        "--db",
        "out.db",
    )
    ended = lukv_bench(*base, "--allocator", "uniform", "--dtype", "bfloat16", "--json")
    for row in ended.rows:
        assert row["dtype"] == "bfloat16"
        assert row["kv_bytes_kept"] == row["kv_tokens_kept"] * 2 * D * 2


def test_scores_of_answers_that_find_something_are_between_0_and_100(
    tiny: Path, lukv_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random model finds nothing: here the answers are put in its mouth, the second without any number."""
    from lukv_bench.bench.run import driver

    real = driver.record_of

    def record_of(answer: Any, sample: Any, run_id: str, **more: Any) -> Any:
        references = sample.rendered.document["outputs"]
        text = " and ".join(references[: (4, 0, 1)[sample.rendered.ordinal]])
        return real(replace(answer, text=text), sample, run_id, **more)

    monkeypatch.setattr(driver, "record_of", record_of)
    base = ("run", "--model", tiny, "--length", "700", "--limit", "3", "--ratio", "0.5", "--db", "out.db")
    ended = lukv_bench(*base, "--tasks", "niah_multiquery", "--allocator", "uniform", "--no-baselines", "--json")
    assert ended.code == 0, ended.err
    (row,) = ended.rows
    expected = [100.0, 0.0, 25.0]
    assert row["score"] == pytest.approx(mean(expected))
    assert row["stderr"] == pytest.approx(stdev(expected) / sqrt(3))
