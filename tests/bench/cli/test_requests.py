"""Ten requests on one context: one prefill for all of them, and the answers of asking one by one."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.run import grouping, worker

ANSWERS = (
    "SELECT sample.ordinal, configuration.allocator, answer.text, answer.score, answer.n_context_tokens FROM answer "
    "JOIN sample ON sample.id = answer.sample_id JOIN cell ON cell.id = answer.cell_id "
    "JOIN configuration ON configuration.id = cell.configuration_id WHERE answer.status = 'done' ORDER BY 1, 2"
)


@pytest.fixture
def prefills(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counts: Counter[str] = Counter()
    real = worker.read_context

    def read_context(*arguments: Any) -> Any:
        counts["prefill"] += 1
        return real(*arguments)

    monkeypatch.setattr(worker, "read_context", read_context)
    return counts


@pytest.mark.parametrize(("task", "n"), [("requests_digits", 10), ("turns", 5)])
def test_questions_on_one_context_cost_one_prefill_and_answer_as_if_asked_alone(
    lukv_bench: Any,
    tiny: Path,
    prefills: Counter[str],
    query: Any,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    n: int,
) -> None:
    command = ("run", "--model", tiny, "--tasks", task, "--length", 1700, "--limit", n, "--allocator", "uniform")
    run = (*command, "--ratio", "0.5", "--no-fidelity", "--db", "out.db")
    ended = lukv_bench(*run, "--json")
    assert ended.code == 0, ended.err
    assert prefills["prefill"] == 1
    assert [(row["n"], row["n_documents"]) for row in ended.rows] == [(n, 1)] * 2
    together = query(ANSWERS)
    assert len(together) == 2 * n
    assert len({text for *_, text, _, _ in together}) > 1
    assert len({n_context for *_, n_context in together}) == 1

    made = ("--model", tiny, "--tasks", task, "--length", 1700, "--limit", n, "--out", "made")
    exported = lukv_bench("tasks", "export", *made)
    assert exported.code == 0, exported.err
    again = lukv_bench(*run, "--samples", "made")
    assert again.code == 0, again.err
    assert "0 new answers" in again.err, "exported samples are those of a run that makes them"

    Path("out.db").unlink()
    prefills.clear()
    monkeypatch.setattr(grouping, "MOST_TOGETHER", 1)
    alone = (*run, "--samples", "made")
    assert lukv_bench(*(3 if part == n else part for part in alone)).code == 0
    assert prefills["prefill"] == 3
    assert query(ANSWERS) == together[: 2 * 3]
