"""Hostile commands: every option of every command with values and files that no one should type.

A sample of them runs here. All of them, by hand, an hour or so:

    LUKV_BENCH_HOSTILE=all python -m pytest -q tests/bench/cli/test_hostile.py

LUKV_BENCH_HOSTILE=N takes N values of each option. A new option is covered from its first day: options are read from
the command line itself.
"""

import json
import os
import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from lukv_bench.bench.cli import app
from lukv_bench.bench.cli.messages import LONGEST

EACH = os.environ.get("LUKV_BENCH_HOSTILE", "2")
"""Values of each option that are tried."""

HANG_S = 60
"""Processor seconds of one command: the longest takes a few."""

ANYWHERE = [
    *("", " ", ",", ",,,", ":", "=", "(", ")", "a=b", "-", "--", "x" * 10_000, "word " * 2000, "é" * 300, "a\nb"),
    *("\x1b[31mred\x07", "\x85", "\u202e", "\udcff", "%s {0} {}", "../..", "/", ".", "~", "~nobody-at-all/x", "*"),
    *("0", "-0", "-1", "1", "1.5", "1e9", "1e400", "nan", "-inf", "9" * 30, "9" * 5000, "0x10", "1_0", "١٢",
      "2147483648"),
    *("null", "true", "[]", "{}", "None", "$HOME", "a/b", "a/b/c", "-h", "--json"),
]  # fmt: skip
FILES = [
    "fifo",
    "loop",
    "loop/x",
    "dangling",
    "folder",
    "text",
    "text/x",
    "empty",
    "binary",
    "nested",
    "header",
    "half.db",
]
FILES += [
    "/dev/zero",
    "/dev/full",
    "/dev/null",
    "/proc/self/mem",
    "/proc/self/x",
    "/etc/passwd",
    "x/" * 3000,
    "x" * 300,
]
DATABASES = ["sqlite://", "sqlite:///", "sqlite:////", "sqlite:///:memory:", "sqlite:///x?mode=memory", "mysql://a/b"]
DATABASES += ["postgresql://", "postgresql://me:secret@127.0.0.1:9/x", "postgresql+asyncpg://a/b", "://", "sqlite:x"]
PLUGINS = [f"lukv:profile={name}" for name in FILES[:12]]
PLUGINS += ["uniform,uniform", "lukv:", "lukv:profile", "lukv:profile=", "lukv:=", "lukv:a=b", "keydiff:", "critical"]
PLUGINS += ["critical:of=", "critical:of=(", "critical:of=(keydiff", "critical:of=critical", "snapkv:window=0"]
PLUGINS += ["snapkv:window=1e9,kernel=nan", "shuffled:of=shuffled", "shuffled:of=(shuffled:of=uniform)", "full"]
COMBINATIONS = ["{ratio: 0.5}", "{ratio: }", "{allocator: full}", "[{ratio: 2}]", "{seed: [[1]]}", "&a [*a]", "{a: b"]
COMBINATIONS += [
    "!!python/name:os.system x",
    "{ratio: 0.5, ratio: 0.6}",
    "[" * 100_000,
    "? [a]",
    "---\n---",
    "{<<: *x}",
]
NAMES = ["ruler,", "longbench_v2", "needle_grid_0", "keydiff", "niah"]
BY_OPTION = {
    "--db": [*FILES, *DATABASES],
    "--allocator": PLUGINS,
    "--scorer": PLUGINS,
    **dict.fromkeys(("--out", "--context", "--text", "--questions", "--from", "--export-kvpress", "FILE"), FILES),
    **dict.fromkeys(("--samples", "--data-dir", "--model"), FILES),
    "--config": [*FILES, "sweep"],
    **dict.fromkeys(("--include", "--exclude"), COMBINATIONS),
    **dict.fromkeys(("--tasks", "TASK", "--task", "NAME"), NAMES),
    "KIND": ["allocators", "scorers", "tasks", "models"],
}
"""More values, and likelier ones, for what they are meant to hurt."""


def fill(folder: Path) -> None:
    """Files that a path may lead to."""
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "folder").mkdir()
    (folder / "text").write_text("On day 1 the keeper wrote that lamp 7 was lit.\n" * 40)
    (folder / "questions").write_text("Which lamp was lit on day 1?\n")
    (folder / "answers").write_text('{"pred": "a", "answers": ["a"]}\n')
    (folder / "sweep").write_text("ratio: [0.5, .nan]\nexclude: [{ratio: 0.5}, {allocator: [uniform, full]}]\n")
    (folder / "empty").touch()
    (folder / "binary").write_bytes(random.Random(0).randbytes(5000))
    (folder / "nested").write_text("[" * 200_000)
    (folder / "header").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    (folder / "half.db").write_bytes(b"SQLite format 3\0" + bytes(80))


def commands() -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Every command with its parameters."""
    group: Any = typer.main.get_command(app.app)
    context = group.context_class(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = getattr(command, "commands", None)
        for words, one in [((name, more), held) for more, held in inner.items()] if inner else [((name,), command)]:
            if name != "lm-eval":  # its options are lm-eval's
                yield words, one.params


COMMANDS = {" ".join(words): params for words, params in commands()}


def base(command: str, model: Path) -> dict[str, str | None]:
    """Options that make a command work, cheaply; a switch has no value."""
    short = {"--tasks": "niah_single_1", "--length": "360", "--limit": "1"}
    cheap = {"--allocator": "uniform", "--ratio": "0.5"}
    return {
        "run": {"--model": str(model), "--db": "out.db", "--executor": "local", **short, **cheap},
        "results": {"--db": "half.db"},
        "compare": {"A": "lukv", "B": "uniform", "--db": "half.db"},
        "recommend": {"--db": "half.db", "--model": str(model), "--context-length": "1000", "--memory": "1MiB"},
        "leaderboard": {"--check": None, "--port": "9"},
        "doctor": {"--db": "out.db"},
        "estimate": {"--model": str(model), "--ratio": "0.5"},
        "profile": {"--model": str(model), "--text": "text", "--questions": "questions", "--out": "made"},
        "inspect": {"--model": str(model), "--context": "text", "--out": "made", **cheap},
        "tasks export": {"--model": str(model), "--out": "exported", **short},
        "list": {"KIND": "models"},
        "tasks score": {"TASK": "niah_single_1", "FILE": "answers"},
    }[command]


def hostile(command: str, model: Path) -> Iterator[list[str]]:
    """Commands that have one hostile value each, in place of a good one."""
    good = base(command, model)
    for param in COMMANDS[command]:
        name = param.opts[0] if param.param_type_name == "option" else str(param.metavar)
        if getattr(param, "is_flag", False) or name in ("--device", "--help"):
            continue
        values = [*BY_OPTION.get(name, ()), *ANYWHERE]
        drawn = (
            values if EACH == "all" else random.Random(f"{command} {name}").sample(values, min(int(EACH), len(values)))
        )
        for value in drawn:
            yield words(command, {**good, name: value})


def words(command: str, given: dict[str, str | None]) -> list[str]:
    positional = [str(value) for name, value in given.items() if not name.startswith("--")]
    named = [(name, value) for name, value in given.items() if name.startswith("--")]
    options = [name if value is None else f"{name}={value}" for name, value in named]
    takes_json = any("--json" in param.opts for param in COMMANDS[command])
    return [*command.split(), *options, *(["--json"] if takes_json else []), "--", *positional]


def snapshot(folder: Path) -> dict[str, object]:
    """Everything below: the bytes of files, where links lead, None for the rest."""
    found: dict[str, object] = {}
    for place, folders, files in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *files)):
            content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(folder))] = content
    return found


def faults(ended: Any, before: dict[str, object], after: dict[str, object]) -> Iterator[str]:
    """What is wrong with how a command ended."""
    changed = [name for name, content in before.items() if after.get(name, "gone") != content]
    filled = [name for name in changed if before[name] == b"" and name in after]
    if changed and not (ended.code == 0 and changed == filled):
        yield f"changed {changed}"
    if ended.code not in (0, 1, 2):
        yield f"ended with {ended.code}"
    if ended.code == 2:
        if ended.out:
            yield f"printed {ended.out[:80]!r}"
        if after.keys() - before.keys():
            yield f"wrote {sorted(after.keys() - before.keys())}"
        if len(ended.sentences) != 1:
            yield f"said {[line[:300] for line in ended.sentences[-3:]]}"
    for line in ended.sentences:
        if not line.isprintable() or len(line) > LONGEST:
            yield f"said {line[:200]!r}, {len(line)} characters"
    if "Traceback" in ended.err:
        yield ended.err.strip().splitlines()[-1][:300]
    if ended.out[:1] in ("[", "{"):
        json.loads(ended.out)


class Hanging(BaseException):
    """A command took too long; no handler of ours catches it."""


def too_long(*_: object) -> None:
    raise Hanging


@pytest.mark.parametrize("command", COMMANDS)
def test_hostile_commands_end_with_a_sentence(
    command: str, lukv_bench: Any, tiny: Path, home: Path, request: pytest.FixtureRequest
) -> None:
    fill(Path.cwd())
    previous = signal.signal(signal.SIGVTALRM, too_long)
    request.addfinalizer(lambda: signal.signal(signal.SIGVTALRM, previous))
    found: dict[str, Sequence[str]] = {}
    for arguments in hostile(command, tiny):
        before = snapshot(home / "work")
        signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
        alarm = signal.signal(signal.SIGALRM, too_long)
        signal.alarm(10 * HANG_S)  # what waits takes no processor time
        ended = lukv_bench(*arguments)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, alarm)
        wrong = list(faults(ended, before, snapshot(home / "work")))
        if wrong:
            found[" ".join(arguments)[:300]] = wrong
            print(" ".join(arguments)[-300:], wrong)  # at once, for a long run by hand under -s
        restore(home / "work", before)
    assert not found, "\n".join(f"{line}\n    {'; '.join(wrong)}" for line, wrong in found.items())


def restore(folder: Path, before: dict[str, object]) -> None:
    """Take away what a command that was right after all has made, and empty the file that it filled."""
    for name in sorted(snapshot(folder).keys() - before.keys(), reverse=True):
        path = folder / name
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    (folder / "empty").write_bytes(b"")
