"""The command line as a user meets it: a tiny real model folder, a home of its own for each test."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lukv_bench.bench.cli import app

from ...tiny_model import QUESTIONS, TEXT, change_json, make_model
from .forked import Forked
from .user_home import furnish

BARS = re.compile(r"(\r[^\r\n]*it/s\])+\n?")
"""Libraries' own bars: the program switches them off by variables that are read when a library is imported."""
PROGRESS = re.compile(r"\[ *\d+s\] ")
PROGRAM = str(Path(sys.executable).with_name("lukv-bench"))


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def sentences(self) -> list[str]:
        """What stands on stderr besides progress."""
        return [line for line in self.err.splitlines() if not PROGRESS.match(line)]

    @property
    def progress(self) -> list[str]:
        return [line for line in self.err.splitlines() if PROGRESS.match(line)]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """stdout, which must be one JSON array and nothing else."""
        rows = json.loads(self.out)
        assert isinstance(rows, list)
        return rows


Run = Callable[..., Finished]


def call(*arguments: object) -> Finished:
    """The command line in this process; an escaping exception ends it as Python would."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lukv-bench", *map(str, arguments)])
        for name, value in app.QUIET.items():
            patch.setenv(name, os.environ.get(name, value))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = app._code()
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
            except BaseException:
                code = 1
                traceback.print_exc()
    return Finished(code, out.getvalue(), BARS.sub("", err.getvalue()))


def spawn(*arguments: object, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """The installed program in a process of its own."""
    return subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell leaves it ignored
    )


def without(base: Sequence[object], given: Sequence[object]) -> list[object]:
    """Options and their values, but for the options that are given."""
    pairs = zip(base[::2], base[1::2], strict=True)
    return [word for option, value in pairs if option not in given for word in (option, value)]


@pytest.fixture(scope="session")
def defaults() -> Callable[[Sequence[object], Sequence[object]], list[object]]:
    """Of these options with their values, those that were not given."""
    return without


@pytest.fixture(scope="session")
def lukv_bench() -> Run:
    return call


@pytest.fixture(scope="session")
def start() -> Callable[..., "subprocess.Popen[str]"]:
    return spawn


@pytest.fixture(scope="session")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Forked]:
    """The same program in a process of its own that has its libraries already."""
    return lambda *arguments, **more: Forked(arguments, tmp_path_factory.mktemp("forked"), **more)


@pytest.fixture(scope="session")
def program() -> Run:
    """The installed program, waited for."""

    def run(*arguments: object, env: Mapping[str, str] | None = None) -> Finished:
        process = spawn(*arguments, env=env)
        out, err = process.communicate(timeout=120)
        return Finished(process.returncode, out, err)

    return run


def rows_of(sql: str) -> list[tuple[Any, ...]]:
    """Rows of the working folder's out.db; none before a run has made it."""
    if not Path("out.db").exists():
        return []
    connection = sqlite3.connect("file:out.db?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(sql).fetchall()
    except sqlite3.OperationalError:  # not migrated yet
        return []
    finally:
        connection.close()


@pytest.fixture(scope="session")
def query() -> Callable[[str], list[tuple[Any, ...]]]:
    """Looks into a database that a run may be writing."""
    return rows_of


@pytest.fixture(autouse=True)
def home(real_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for each test."""
    return furnish(tmp_path, real_model, monkeypatch)


@pytest.fixture
def own_tasks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval's command line without its thousands of tasks and what pip knows, which take seconds each."""
    from lm_eval.tasks import TaskManager  # imported by its tests alone

    real = TaskManager.__init__
    monkeypatch.setattr(TaskManager, "__init__", lambda *a, **more: real(*a, **more | {"include_defaults": False}))
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda _: None)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below, with size and time of change; links are not followed."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            stat = path.lstat()
            found[str(path.relative_to(folder))] = (0 if path.is_dir() else stat.st_size, stat.st_mtime_ns)
    return found


@pytest.fixture
def refused(home: Path) -> Callable[..., str]:
    """Run a command that must exit 2 with one sentence, print nothing and write nothing; gives the sentence."""

    def run(arguments: Sequence[object], *words: str) -> str:
        before = listing(home)
        ended = call(*arguments)
        assert "Traceback" not in ended.err, ended.err[-2000:]
        assert ended.code == 2, ended
        assert ended.out == ""
        assert len(ended.sentences) == 1, ended.sentences
        (sentence,) = ended.sentences
        assert sentence.startswith("lukv-bench: ")
        for word in words:
            assert word in sentence
        assert listing(home) == before, "something was written"
        return sentence

    return run


@pytest.fixture(scope="session")
def change() -> Callable[..., None]:
    """Sets values in a JSON file."""
    return change_json


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers with all 128 tokens."""
    return make_model(tmp_path_factory.mktemp("models") / "slow")


@pytest.fixture(scope="session")
def command(slow: Path) -> list[Any]:
    """A run that takes long enough to be stopped: the full cache and uniform, four samples each."""
    made = ["run", "--model", slow, "--allocator", "uniform", "--ratio", "0.5", "--length", "400", "--limit", 4]
    return [*made, "--tasks", "niah_single_1", "--db", "out.db"]


@pytest.fixture(scope="session")
def tiny(slow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with a quarter of all tokens in its EOS set: its answers are short, but not empty."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    shutil.copytree(slow, folder)
    change_json(folder / "generation_config.json", eos_token_id=list(range(1000)))
    return folder


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model."""
    return make_model(tmp_path_factory.mktemp("models") / "other", seed=1)


@pytest.fixture(scope="session")
def roomy(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with room for the built-in calibration texts."""
    folder = tmp_path_factory.mktemp("models") / "roomy"
    shutil.copytree(tiny, folder)
    change_json(folder / "config.json", max_position_embeddings=8192)
    return folder


@pytest.fixture
def copy_of(tiny: Path, home: Path) -> Callable[[str], Path]:
    """A copy of the tiny model to be spoilt."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(tiny, home / "work" / name))

    return copy


@pytest.fixture(scope="session")
def change_tensors() -> Callable[[Path, Callable[[dict[str, torch.Tensor]], object]], None]:
    """Rewrite a folder's weights."""

    def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
        tensors = load_file(folder / "model.safetensors")
        edit(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return change


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A short calibration text and its questions."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "keeper.txt").write_text(TEXT)
    (folder / "keeper.questions.txt").write_text(QUESTIONS)
    return folder / "keeper.txt", folder / "keeper.questions.txt"


def make_profile(model: Path, texts: tuple[Path, Path], out: Path) -> Path:
    ended = call("profile", "--model", model, "--text", texts[0], "--questions", texts[1], "--out", out)
    assert ended.code == 0, ended.err
    return out


@pytest.fixture(scope="session")
def profile(tiny: Path, texts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LU-KV's profile of the tiny model."""
    return make_profile(tiny, texts, tmp_path_factory.mktemp("profiles") / "tiny.safetensors")


@pytest.fixture(scope="session")
def slow_profile(slow: Path, texts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LU-KV's profile of the slow model."""
    return make_profile(slow, texts, tmp_path_factory.mktemp("profiles") / "slow.safetensors")


@pytest.fixture(scope="session")
def other_profile(other: Path, texts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LU-KV's profile of the other model."""
    return make_profile(other, texts, tmp_path_factory.mktemp("profiles") / "other.safetensors")
