"""Standard streams that are closed, full or poor in characters; users without a home; names that no terminal shows."""

import os
import pwd
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.bench.cli.messages import LONGEST, sentence

from .conftest import PROGRESS

RUN = "run --allocator uniform --no-baselines --tasks niah_single_1 --length 360 --limit 1 --db out.db --json"
Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shell(start: Any) -> Shell:
    """The installed program, as a shell starts it with these redirections."""
    program = start.__globals__["PROGRAM"]

    def run(line: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        whole = {**os.environ, **(env or {})}
        return subprocess.run(
            ["bash", "-c", f"{program} {line}"], capture_output=True, text=True, env=whole, timeout=120, check=False
        )

    return run


def test_a_run_whose_output_is_not_taken_stores_its_answers_and_says_so(
    shell: Shell, tiny: Path, lukv_bench: Any
) -> None:
    ended = shell(f"{RUN} --model {tiny} >/dev/full")
    assert ended.returncode == 1
    assert PROGRESS.match(ended.stderr)
    context, new, failure = [line for line in ended.stderr.splitlines() if not PROGRESS.match(line)]
    assert context.startswith("--length")
    assert new.startswith("1 new answers"), "what libraries print would stand here, too"
    assert "standard output cannot be written" in failure
    assert [row["n"] for row in lukv_bench("results", "--db", "out.db", "--json").rows] == [1]


def test_a_run_without_stderr_is_a_run(shell: Shell, tiny: Path, lukv_bench: Any) -> None:
    ended = shell(f"{RUN} --model {tiny} <&- 2>&-")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == lukv_bench("results", "--db", "out.db", "--json").out


@pytest.mark.parametrize("command", ["--help >/dev/full", "list models --json >&-"])
def test_no_command_passes_over_output_that_was_not_taken(shell: Shell, command: str) -> None:
    ended = shell(command)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1


def test_a_full_stderr_changes_nothing(shell: Shell) -> None:
    ended = shell("results --db none.db 2>/dev/full")
    assert (ended.returncode, ended.stdout) == (2, "")


def test_a_reader_that_has_seen_enough_is_no_failure(shell: Shell) -> None:
    ended = shell("list tasks | head -1; exit ${PIPESTATUS[0]}")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_name_with_an_accent_is_shown_on_ascii_output(shell: Shell) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    shown = shell("results --db nicht-da-é.db", ascii_only)
    assert shown.returncode == 2
    assert len(shown.stderr.splitlines()) == 1
    assert shown.stderr.isascii()
    Path("é.jsonl").write_text("[]")
    scored = shell("tasks score niah_single_1 é.jsonl", ascii_only)
    assert scored.returncode == 2
    assert "Traceback" not in scored.stderr


HOMELESS = [
    (["results"], "--db"),
    (["list", "models"], "LUKV_BENCH_CACHE"),
    (["run", "--limit", "1"], "--db"),
    (["run", "--limit", "1", "--db", "out.db"], "LUKV_BENCH_CACHE"),
    (["inspect", "--context", "text.txt"], "LUKV_BENCH_CACHE"),
]


@pytest.mark.parametrize(("command", "word"), HOMELESS, ids=[" ".join(command) for command, _ in HOMELESS])
def test_a_user_without_a_home_is_told_what_to_set(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, command: list[str], word: str
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    Path("text.txt").write_text("some words to keep")
    for name in ("HOME", "LUKV_BENCH_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert "home folder" in refused(command, word)


def test_an_empty_home_is_none(shell: Shell, tmp_path: Path) -> None:
    """Else its folders would stand below /."""
    ended = shell("list models", {"HOME": "", "LUKV_BENCH_CACHE": ""})
    assert ended.returncode == 0, ended.stderr
    assert not Path("/.cache/lukv-bench").exists()


@given(st.text(st.characters(codec=None), max_size=2000))
def test_a_message_is_one_printable_line(text: str) -> None:
    told = sentence(text)
    assert told.isprintable()
    assert len(told) <= LONGEST


def test_a_long_name_leaves_what_was_wrong_and_what_to_do() -> None:
    told = sentence(f'There is nothing at "{"x" * 10_000}" yet; make some with "lukv-bench run".')
    assert told.startswith("There is nothing at")
    assert told.endswith('make some with "lukv-bench run".')


def test_what_a_terminal_would_obey_is_shown_instead(lukv_bench: Any) -> None:
    ended = lukv_bench("run", "--allocator", "\x1b[31mred\x07\x9b\u202e")
    assert ended.code == 2
    assert ended.err.rstrip("\n").isprintable()
    assert "\\x1b[31mred" in ended.err
