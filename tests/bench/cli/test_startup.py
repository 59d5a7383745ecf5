"""What needs no model starts without the libraries that models need; seconds are in tests/benchmarks/startup.py."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "lm_eval", "pandas", "scipy", "datasets", "huggingface_hub"}
LIGHT = [
    "run --help", "run --allocator nosuch", "run --scorer keydiff,nosuch", "run --ratio 2", "run --tasks nosuch",
    "run --keep-tokens 0", "run --keep-tokens 3", "run --keep-tokens 9,3 --scorer snapkv,h2o", "run --sink -1",
    "run --model nosuch", "run --db .", "run --samples nosuch", "run --limit 0",
    "results --db none.db", "profile --out . --scorer keydiff", "profile --out p --scorer nosuch",
    "profile --out p --text none.txt --questions none.txt", "inspect --context none.txt", "list tasks", "list models",
    "inspect --context here.txt --allocator nosuch", "inspect --context here.txt --keep-tokens 3",
    "tasks export --out . --tasks nosuch", "tasks score niah_single_1 none.jsonl",
]  # fmt: skip
PROBE = """
import sys
from lukv_bench.bench.cli import app
for line in sys.argv[1:]:
    sys.argv = ["lukv-bench", *line.split()]
    app._code()
    for name in sorted(set({heavy}) & sys.modules.keys()):
        print("BY", line, "LOADED", name)
        del sys.modules[name]
"""


def loaded(lines: list[str], folder: Path, heavy: set[str] = HEAVY) -> list[str]:
    """The heavy libraries that the commands load, in a process of their own."""
    probe = PROBE.format(heavy=sorted(heavy))
    environment = {**os.environ, "XDG_DATA_HOME": str(folder / "data")}
    ended = subprocess.run(
        [sys.executable, "-c", probe, *lines], capture_output=True, text=True, cwd=folder, env=environment, check=True
    )
    return [line for line in ended.stdout.splitlines() if line.startswith("BY ")]


def test_commands_that_need_no_model_load_no_heavy_library(tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("some words")
    assert loaded(LIGHT, tmp_path) == []


def test_a_file_that_cannot_hold_results_is_refused_without_sqlalchemy(tmp_path: Path) -> None:
    lines = ["run --db .", "run --db mysql:x", "results --db .", "results --db none.db", "results --task nosuch"]
    assert loaded(lines, tmp_path, HEAVY | {"sqlalchemy"}) == []


@pytest.mark.parametrize("line", ["list allocators", "list scorers --json", "list scorers snapkv"])
def test_listing_the_built_in_plugins_loads_no_heavy_library(line: str, tmp_path: Path) -> None:
    assert loaded([line], tmp_path) == []


def test_tokens_to_keep_below_the_protected_are_refused_before_a_model_is_loaded(refused: Callable[..., str]) -> None:
    sentence = refused(["run", "--model", "nobody/nothing", "--keep-tokens", "3", "--db", "out.db"])
    assert "5 protected" in sentence
    assert "3 protected" in refused(["run", "--model", "nobody/nothing", "--keep-tokens", "2", "--sink", "2"])
