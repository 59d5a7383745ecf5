"""The documents that lead a newcomer run as they stand."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Follow = Callable[[str, Callable[[str], str]], list[str]]


@pytest.fixture
def commands(lukv_bench: Any) -> Callable[[str], str]:
    """Runs lines of our command line, which must all end well; gives what they printed."""

    def run(lines: str) -> str:
        printed = ""
        for line in lines.splitlines():
            program, *words = shlex.split(line)
            assert program == "lukv-bench"
            ended = lukv_bench(*words)
            assert ended.code == 0, (line, ended.err[-1000:])
            printed += str(ended.out)
        return printed

    return run


def test_an_engineer_goes_from_a_model_folder_to_a_table(
    tiny: Path, home: Path, follow: Follow, commands: Callable[[str], str]
) -> None:
    shutil.copytree(tiny, home / "work" / "model")
    estimate, run, results_and_doctor = follow("howto/local-model.md", commands)
    assert "batch" in estimate
    for printed in (run, results_and_doctor):
        assert all(f" {name} " in printed for name in ("full", "uniform", "lukv"))


def test_an_lm_eval_user_sees_what_an_eviction_changes(
    slow: Path, home: Path, follow: Follow, commands: Callable[[str], str], own_tasks_alone: None
) -> None:
    shutil.copytree(slow, home / "work" / "model")
    follow("howto/lm-eval.md", commands)

    def answers(folder: str) -> list[Any]:
        (samples,) = Path(folder).rglob("samples_*.jsonl")
        return [json.loads(line)["resps"] for line in samples.read_text(encoding="utf-8").splitlines()]

    assert answers("hf") == answers("full") != answers("half")
    assert len(answers("half")) == 3
    (results,) = Path("half").rglob("results_*.json")
    evicted = json.loads(results.read_text(encoding="utf-8"))["config"]
    assert (evicted["allocator"], evicted["scorer"], evicted["ratio"]) == ("uniform", "keydiff", "0.5")
