"""What fails late, and what becomes of it when the same command is typed again."""

from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.errors import PluginError
from lukv_bench.bench.run import loop, plan

COMMAND = ("--tasks", "niah_single_1", "--length", "360", "--limit", "2", "--ratio", "0.5", "--db", "out.db", "--json")


def statuses(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["allocator"]: row["status"] for row in rows}


def test_a_metric_that_breaks_fails_its_own_cell_and_is_tried_again(
    tiny: Path, lukv_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = loop.replay, []

    def broken_once(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise RecursionError("too deep")
        return real(*arguments)

    monkeypatch.setattr(loop, "replay", broken_once)
    first = lukv_bench("run", "--model", tiny, "--allocator", "uniform", *COMMAND)
    assert first.code == 1
    assert statuses(first.rows) == {"full": "failed", "uniform": "complete"}
    assert "RecursionError: too deep" in first.err
    again = lukv_bench("run", "--model", tiny, "--allocator", "uniform", *COMMAND)
    assert again.code == 0
    assert statuses(again.rows) == {"full": "complete", "uniform": "complete"}
    assert "0 new answers" in again.err
    assert len(calls) == 3, "the cell that had its score is not scored again"


def test_a_cell_whose_profile_could_not_be_made_is_gone_once_it_could(
    tiny: Path, profile: Path, lukv_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmade(*_: Any) -> Any:
        raise PluginError("no profile today")

    command = ("run", "--model", tiny, "--allocator", f"lukv:profile={profile}", *COMMAND)
    with monkeypatch.context() as patch:
        patch.setattr(plan, "obtain_profile", unmade)
        first = lukv_bench(*command)
    assert first.code == 1
    assert statuses(first.rows) == {"full": "complete", "uniform": "complete", "lukv": "failed"}
    assert lukv_bench(*command).code == 0
    rows = lukv_bench("results", "--db", "out.db", "--json").rows
    assert len(rows) == 3
    assert statuses(rows) == {"full": "complete", "uniform": "complete", "lukv": "complete"}
