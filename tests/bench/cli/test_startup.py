"""What needs no model starts without the libraries that models need; seconds are in tests/benchmarks/startup.py."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lukv_bench.bench.cli import commands

LIBRARIES = {
    "torch", "transformers", "tokenizers", "huggingface_hub", "accelerate", "lm_eval", "datasets", "numpy", "pandas",
    "scipy", "pyarrow", "sqlalchemy", "alembic",
}  # fmt: skip
"""None of them is needed to refuse a command or to list what is there."""
LIGHT = [
    "run --help", "run --allocator nosuch", "run --scorer keydiff,nosuch", "run --ratio 2", "run --tasks nosuch",
    "run --keep-tokens 0", "run --keep-tokens 3", "run --keep-tokens 9,3 --scorer snapkv,h2o", "run --sink -1",
    "run --model nosuch", "run --db .", "run --samples nosuch", "run --limit 0",
    "results --db none.db", "profile --out . --scorer keydiff", "profile --out p --scorer nosuch",
    "profile --out p --text none.txt --questions none.txt", "inspect --context none.txt", "list tasks", "list models",
    "inspect --context here.txt --allocator nosuch", "inspect --context here.txt --keep-tokens 3",
    "tasks export --out . --tasks nosuch", "tasks score niah_single_1 none.jsonl",
    "run --db mysql:x", "results --db .", "results --task nosuch",
    "list allocators", "list scorers --json", "list scorers snapkv",
]  # fmt: skip
PROBE = """
import sys
from lukv_bench.bench.cli import app
for line in sys.argv[1:]:
    sys.argv = ["lukv-bench", *line.split()]
    app._code()
    for name in sorted(set({names}) & sys.modules.keys()):
        print("BY", line, "LOADED", name)
        del sys.modules[name]
"""


def loaded(lines: list[str], folder: Path, names: set[str] = LIBRARIES) -> list[str]:
    """Those of the named modules that the commands load, in a process of their own."""
    probe = PROBE.format(names=sorted(names))
    environment = {**os.environ, "XDG_DATA_HOME": str(folder / "data")}
    ended = subprocess.run(
        [sys.executable, "-c", probe, *lines], capture_output=True, text=True, cwd=folder, env=environment, check=True
    )
    return [line for line in ended.stdout.splitlines() if line.startswith("BY ")]


def test_commands_that_need_no_model_load_no_heavy_library(tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("some words")
    assert loaded(LIGHT, tmp_path) == []


PLUGIN_METADATA, PLUGIN_CODE = "lukv_bench.bench.plugins.names", "lukv_bench.bench.plugins.registry"
TASK_FILES, MODELS, DATABASE = "yaml", "lukv_bench.bench.models.find", "lukv_bench.db.named"


@pytest.mark.parametrize("place", [path for path in commands.COMMANDS if path != "lm-eval"])
def test_a_command_loads_no_other_command(place: str, tmp_path: Path) -> None:
    package = commands.__name__.rpartition(".")[0]
    others = {f"{package}.{other.module}" for other in commands.COMMANDS.values()}
    others.remove(f"{package}.{commands.COMMANDS[place].module}")
    assert loaded([f"{place} --nosuch"], tmp_path, others) == []


@pytest.mark.parametrize(
    ("line", "unneeded"),
    [
        ("run --ratio 2", {PLUGIN_METADATA, TASK_FILES, MODELS, DATABASE}),
        ("run --limit 0", {PLUGIN_METADATA, TASK_FILES, MODELS, DATABASE}),
        ("run --seed x", {PLUGIN_METADATA, TASK_FILES, MODELS, DATABASE}),
        ("run --tasks nosuch", {PLUGIN_METADATA, MODELS, DATABASE}),
        ("run --allocator nosuch", {PLUGIN_CODE, TASK_FILES, MODELS, DATABASE}),
        ("run --scorer nosuch", {PLUGIN_CODE, TASK_FILES, MODELS, DATABASE}),
        ("run --keep-tokens 3", {PLUGIN_CODE, TASK_FILES, MODELS, DATABASE}),
        ("run --model nosuch", {PLUGIN_CODE, TASK_FILES, DATABASE}),
        ("run --db .", {PLUGIN_CODE, TASK_FILES}),
        ("list scorers", {PLUGIN_CODE, TASK_FILES, MODELS}),
        ("list allocators", {PLUGIN_CODE, TASK_FILES, MODELS}),
        ("list tasks", {PLUGIN_METADATA, MODELS}),
        ("run --scorer critical:of=(snapkv", {PLUGIN_CODE, TASK_FILES, MODELS, DATABASE}),
        ("profile --out p --scorer nosuch", {PLUGIN_CODE, TASK_FILES, MODELS, DATABASE}),
    ],
)
def test_what_is_wrong_is_refused_before_what_it_does_not_need_is_loaded(
    line: str, unneeded: set[str], tmp_path: Path
) -> None:
    assert loaded([line], tmp_path, unneeded) == []


def test_tokens_to_keep_below_the_protected_are_refused_before_a_model_is_loaded(refused: Callable[..., str]) -> None:
    sentence = refused(["run", "--model", "nobody/nothing", "--keep-tokens", "3", "--db", "out.db"])
    assert "5 protected" in sentence
    assert "3 protected" in refused(["run", "--model", "nobody/nothing", "--keep-tokens", "2", "--sink", "2"])
