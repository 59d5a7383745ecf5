"""The documents for a plugin's author are run as they stand."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TUTORIAL = Path(__file__).resolve().parents[4] / "docs" / "plugins.md"
Follow = Callable[[str, Callable[[str], str]], list[str]]


@pytest.fixture
def shell(site: Any) -> Callable[[str], str]:
    """Runs commands that must end well; gives stdout and stderr together."""

    def run(commands: str) -> str:
        ended = site.call("bash", "-ec", f"exec 2>&1\n{commands}")
        assert ended.returncode == 0, (commands, ended.stdout)
        return str(ended.stdout)

    return run


def test_the_tutorial_s_files_and_commands_work(
    site: Any, home: Path, follow: Follow, shell: Callable[[str], str]
) -> None:
    (printed,) = follow("plugins.md", shell)
    assert "Gives deep layers less than early ones, in equal steps." in printed
    assert "my-methods 0.1" in printed
    kept = dict(re.findall(r"(uniform|staircase:steepness=0\.3) +lastword .*? ([\d.]+) of [\d.]+\s", printed))
    assert set(kept) == {"uniform", "staircase:steepness=0.3"}, printed
    assert len(set(kept.values())) == 1, "budgets are exact"
    site.pip("uninstall", "--quiet", "--yes", "my-methods")


def test_an_author_writes_runs_edits_and_removes_a_scorer(
    tiny: Path, home: Path, follow: Follow, shell: Callable[[str], str]
) -> None:
    shutil.copytree(tiny, home / "work" / "model")
    first, edited, removed = follow("howto/plugin-author.md", shell)
    assert "Ranks tokens by their position." in first
    assert "4 new answers" in first
    assert "2 new answers" in edited, "the scorer's, and not the full cache's"
    table = edited[edited.rindex("\ntask ") :]
    assert len(set(re.findall(r" uniform +recency +([0-9a-f]{8}) ", table))) == 2, "a row for each code"
    assert removed.endswith(table), "answers outlive the plugin"
    assert "Ranks tokens by their position." not in removed
    run = "lukv-bench run --model model --allocator uniform --scorer recency --tasks niah_single_1 --db recency.db"
    assert "unknown scorer 'recency'" in shell(f"{run} || test $? = 2")


def test_an_author_fits_keeps_edits_and_reuses_a_scorer(
    tiny: Path, home: Path, follow: Follow, shell: Callable[[str], str]
) -> None:
    shutil.copytree(tiny, home / "work" / "model")
    ran, kept, edited = follow("howto/fitted-scorer.md", shell)
    assert re.search(r"fitted +True", ran)
    first, second = ran.split("new answers")[:2]
    assert "calibrating on" in first
    assert "calibrating on" not in second, "the profile of the first run"
    assert "use it with: lukv-bench run --model model --scorer keyfit:profile=keyfit.safetensors" in kept
    assert "0 new answers" in kept
    assert "1 new answers" in edited
    assert "keyfit.safetensors was made with other code of keyfit" in edited
    assert len(re.findall(r" uniform +keyfit:ridge=1\.0 ", edited)) >= 2, "a row for each code"


def test_the_tutorial_s_allocator_is_exact_at_any_steepness(site: Any) -> None:
    """The code block's own arithmetic, over odd sizes."""
    (source,) = re.findall(r"^```python\n(.*?)^```$", TUTORIAL.read_text(encoding="utf-8"), re.M | re.S)
    Path("my_methods.py").write_text(source, encoding="utf-8")
    check = """
import torch
from lukv_bench.allocators.base import AllocationRequest, check_counts
from my_methods import Staircase
for steepness in (0.0, 0.3, 1.0):
    for n_tokens, per_head in ((7, 5), (101, 17), (64, 64), (40, 39)):
        protected = torch.zeros(n_tokens, dtype=torch.bool)
        protected[[0, 1, -1]] = True
        request = AllocationRequest(tuple(range(5)), 5, 2, 3, n_tokens, 15 * per_head, protected)
        check_counts(Staircase(steepness).allocate(request), request)
"""
    ended = site.call(site.folder / "bin" / "python", "-c", check)
    assert ended.returncode == 0, ended.stderr
