"""A user's own results: nothing at first, then a run beside the open page, and the command that the page prints."""

import json
import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from ...bench.cli.forked import Forked
from ...tiny_model import change_json, make_model
from .conftest import Serve, Served, Visitors
from .screen import RANKING


@pytest.fixture(scope="module")
def tiny(real_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers with a few tokens."""
    folder = make_model(tmp_path_factory.mktemp("models") / "tiny")
    change_json(folder / "generation_config.json", eos_token_id=list(range(1000)))
    return folder


@pytest.fixture
def work(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's working folder, with the model's folder in it."""
    monkeypatch.chdir(shutil.copytree(tiny, tmp_path / "work" / tiny.name).parent)
    return Path.cwd()


def rows_of(*command: object) -> list[dict[str, Any]]:
    """Runs a command of the program beside the site; gives the rows that it prints."""
    process = Forked([*command, "--json"], Path(tempfile.mkdtemp(dir=Path.cwd().parent)))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    rows = json.loads(out)
    assert isinstance(rows, list)
    return rows


def test_a_run_beside_the_open_page_appears_and_its_command_gives_its_numbers_again(
    serve: Serve, visitors_of: Callable[[Served], Visitors], work: Path
) -> None:
    database = work / "own.db"
    command = ["run", "--model", "tiny", "--tasks", "niah_single_1", "--length", "360", "--limit", "2"]
    command += ["--allocator", "uniform", "--scorer", "keydiff,knorm", "--db", database]
    with serve(database) as served:
        screen = visitors_of(served).open()
        expect(screen.main.get_by_role("heading", level=1)).to_have_text("No results yet")

        rows = rows_of(*command, "--ratio", "0.5")
        expect(screen.main.get_by_role("heading", level=1)).to_have_text("Leaderboard")  # by itself
        screen.settle()
        assert len(screen.csv(RANKING)) == len(rows) == 3

        rows += rows_of(*command, "--ratio", "0.8", "--no-baselines")
        expect(screen.sidebar.get_by_text("All 5 results.")).to_be_visible()  # by itself
        screen.settle()
        shown = screen.csv(RANKING)
        assert {row["configuration"] for row in shown} == {row["configuration"] for row in rows}

        for position in (0, 4):
            screen.tick(position)
            expect(screen.main.get_by_test_id("stCode").last).to_contain_text(option(shown[position]["budget"]))
            words = shlex.split(screen.command())
            assert words[:2] == ["lukv-bench", "run"]
            (again,) = rows_of(*words[1:], "--db", work / "again.db")
            (before,) = [row for row in rows if row["configuration"] == shown[position]["configuration"]]
            exact = ("configuration", "cell", "score", "n", "kv_bytes_kept", "kv_tokens_kept", "kv_bytes_full")
            assert {name: again[name] for name in exact} == {name: before[name] for name in exact}
            assert again["score"] == float(shown[position]["score"])


def option(budget: str) -> str:
    """How a budget is typed; a full cache has none."""
    return f"--ratio {budget.removeprefix('prune ')}" if budget.startswith("prune ") else "--allocator full"
