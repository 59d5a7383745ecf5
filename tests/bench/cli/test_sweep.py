"""`run --config FILE`: the file stands for options, typed ones win, and what is wrong in it has its line."""

import gc
import json
import shlex
import weakref
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import make_url

from lukv_bench.bench.api import model as models
from lukv_bench.bench.cli import app
from lukv_bench.bench.cli.sweep import MOST_VALUES, SweepFile
from lukv_bench.db.frames.commands import read_commands
from lukv_bench.db.store import Store

LAUGHS = "a: &a [1, 1]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdef", "bcdefg", strict=True))
WIDE = "include:\n- &a {ratio: [" + ", ".join(["0.5"] * 100) + "]}\n" + "- *a\n" * (MOST_VALUES // 100)


def words(text: str, *typed: str) -> list[str]:
    """What a file stands for on the command line of `run`."""
    Path("sweep.yaml").write_text(text)
    group: Any = typer.main.get_command(app.app)
    command = group.get_command(group.context_class(group), "run")
    options = {param.opts[0].removeprefix("--"): param for param in command.params}
    return SweepFile("sweep.yaml", command.context_class(command), options).words(typed)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("allocator: lukv\n\n# ours\nraito: 0.8\n", ("line 4", "unknown key 'raito'", "did you mean 'ratio'")),
        ("ratio: 0.8\nlimit: 1\nratio: 0.9\n", ("line 3", "'ratio'", "line 1", "once")),
        ("keep_tokens: 64\nkeep-tokens: 65\n", ("line 2", "keep-tokens", "once")),
        ("limit: [1, 2]\n", ("line 1", "limit", "one value", "a list")),
        ("limit: twelve\n", ("line 1", "limit", "'twelve'", "whole number")),
        ("limit: 1.5\n", ("line 1", "'1.5'")),
        ("ratio:\n- 0.5\n- 1.5\n", ("line 3", "ratio", "1.5")),
        ("ratio:\n- 0.5\n- [0.6]\n", ("line 3", "ratio", "a list")),
        ("ratio: {a: 0.5}\n", ("line 1", "ratio", "a mapping")),
        ("ratio:\n", ("line 1", "ratio", "no value")),
        ("ratio: []\n", ("line 1", "ratio", "empty")),
        ("thinking: maybe\n", ("line 1", "thinking", "true or false", "'maybe'")),
        ("tasks: [niah_single_1,\n  niah_singel_2]\n", ("line 2", "niah_singel_2", "did you mean")),
        ("allocator: [lukv, adakw]\n", ("line 1", "adakw", "did you mean 'adakv'")),
        ("length: [360, 3x]\n", ("line 1", "length", "'3x'")),
        ("config: other.yaml\n", ("line 1", "unknown key 'config'")),
        ("exclude:\n- allocator: lukv\n  ration: 0.9\n", ("line 3", "unknown axis 'ration'", "'ratio'")),
        ("include:\n- {limit: 3}\n", ("line 2", "unknown axis 'limit'")),
        ("include: [lukv]\n", ("line 1", "a mapping")),
        ("include: [{}]\n", ("line 1", "no axis")),
        ("exclude:\n- {ratio: [0.8, 2]}\n", ("line 2", "ratio", "below 1")),
        ("ratio: !!python/object:os.system 0.8\n", ("line 1", "the tag", "not supported")),
        ("ratio: !x 0.8\n", ("line 1", "the tag !x", "not supported")),
        ("[0.8]: ratio\n", ("line 1", "a key is a name")),
        ("- ratio\n", ("line 1", "a mapping")),
        ("ratio: 0.8\n---\nratio: 0.9\n", ("line 2", "not YAML")),
        ("ratio: 'open\n", ("not YAML",)),
        ("ratio: 0.8: 0.9\n", ("line 1", "not YAML")),
        ("ratio: *nowhere\n", ("line 1", "not YAML")),
        ("ratio: &a [*a]\n", ("line 1", "ratio", "a list")),
        ("# nothing\n", ("is empty",)),
        ("ratio: 0.8\n\nlimit: -3\n", ("line 3: limit takes", "-3")),
        ("executor: rey\n", ("line 1: executor is local or ray", "'rey'")),
        ("ratio: 0.8\nshard: 9/2\n", ("line 2: shard takes", "'9/2'")),
        ("[" * 100_000, ("line 1", "nested deeper")),
        (LAUGHS.replace("a:", "seed:", 1).replace("b:", "ratio:", 1), ("ratio", "a list")),
        (WIDE, ("more than", "values")),
        ("a: " + "x" * 2**20, ("larger than 1 MB",)),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_one_sentence_with_its_line(refused: Any, text: str, parts: tuple[str, ...]) -> None:
    Path("sweep.yaml").write_text(text)
    sentence = refused(["run", "--config", "sweep.yaml", "--db", "out.db"], "sweep.yaml", *parts)
    assert "--ratio" not in sentence


def test_what_is_wrong_with_a_typed_value_is_not_blamed_on_the_file(refused: Any) -> None:
    Path("sweep.yaml").write_text("limit: 3\nratio: 0.8\n")
    sentence = refused(["run", "--config", "sweep.yaml", "--limit", "-3", "--db", "out.db"], "--limit takes", "-3")
    assert "sweep.yaml" not in sentence


def test_a_value_is_what_it_would_be_typed(home: Path) -> None:
    assert words("ratio: [0.80, 1e-1, .5]\n") == ["--ratio=0.80", "--ratio=1e-1", "--ratio=.5"]
    assert words("dtype: no\nseed: [007, -1]\n") == ["--dtype=no", "--seed=007", "--seed=-1"]
    assert words("scorer: 'snapkv:window=8,kernel=5'\n") == ["--scorer=snapkv:window=8,kernel=5"]
    assert words("no-baselines: true\nredo: off\nkeep_prompts: Yes\n") == ["--no-baselines", "--keep-prompts"]
    assert words("ratio: &r [0.5]\nexclude: [{ratio: *r}]\n") == ["--ratio=0.5", '--exclude={"ratio": ["0.5"]}']
    assert words('{"limit": 3, "length": [360]}') == ["--limit=3", "--length=360"]


def test_typed_options_win_key_by_key(home: Path) -> None:
    text = "ratio: 0.5\nlimit: 3\nsamples: x\nallocator: uniform\n"
    assert words(text, "limit", "scorer") == ["--ratio=0.5", "--samples=x", "--allocator=uniform"]
    assert words(text, "keep-tokens", "data-dir") == ["--limit=3", "--allocator=uniform"]


SWEEP = """
tasks: niah_single_1
length: [360, 420]
limit: 1
allocator: [adakv, global]
scorer: [keydiff, "snapkv:window=8"]
ratio: [0.50, 0.25]
exclude:
- {allocator: global, scorer: snapkv}
- {length: 420, ratio: 0.5}
- {ratio: 0.75}
include:
- {allocator: pyramidkv, keep-tokens: 200, scorer: keydiff, length: 360}
no-baselines: true
"""
PLACES = [(0.5, None, 360), (0.25, None, 360), (0.25, None, 420)]
"""(ratio, keep_tokens, length) that are left of the grid."""


def test_a_file_runs_its_combinations_and_the_stored_command_does_without_it(lukv_bench: Any, tiny: Path) -> None:
    Path("sweep.yaml").write_text(SWEEP + f"model: {tiny}\n")
    ended = lukv_bench("run", "--config", "sweep.yaml", "--db", "out.db", "--json")
    assert ended.code == 0, ended.err
    assert "--exclude {ratio: ['0.75']} matches no combination" in " ".join(ended.sentences)
    names = ("allocator", "scorer", "ratio", "keep_tokens", "length")
    ran = sorted((tuple(row[name] for name in names) for row in ended.rows), key=str)
    expected = [
        *((method, "keydiff", *place) for method in ("adakv", "global") for place in PLACES),
        *(("adakv", "snapkv", *place) for place in PLACES),
        ("pyramidkv", "keydiff", None, 200, 360),
    ]
    assert ran == sorted(expected, key=str)
    with Store.open(make_url("sqlite:///out.db"), create=False) as store:
        by_cell = read_commands(store, [row["cell"] for row in ended.rows])
    commands = {row["allocator"]: by_cell[row["cell"]] for row in ended.rows}
    own = "--limit 1 --seed 0 --no-baselines"
    given = "--allocator pyramidkv --scorer keydiff --keep-tokens 200 --tasks niah_single_1 --length 360"
    assert commands["pyramidkv"] == f"lukv-bench run --model tiny {given} {own}"
    (again,) = (json.loads(command) for (command,) in _rows("SELECT command FROM run"))
    assert "--config" not in again
    typed = [str(tiny) if word == "tiny" else word for word in again[1:]]
    assert lukv_bench(*typed, "--json").rows == ended.rows
    one = [str(tiny) if word == "tiny" else word for word in shlex.split(commands["global"])[1:]]
    ended = lukv_bench(*one, "--db", "out.db", "--json")
    assert "0 new answers" in ended.err
    assert len(ended.rows) == 1


def _rows(sql: str) -> list[tuple[Any, ...]]:
    import sqlite3

    return sqlite3.connect("out.db").execute(sql).fetchall()


def test_models_run_in_turn_into_one_table_and_the_earlier_is_released(
    lukv_bench: Any, tiny: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[Any]] = []
    alive_at_load: list[int] = []
    real = models.load_ready

    def load_ready(*arguments: Any) -> Any:
        gc.collect()
        alive_at_load.append(sum(ref() is not None for ref in loaded))
        ready = real(*arguments)
        loaded.append(weakref.ref(ready.model))
        return ready

    monkeypatch.setattr(models, "load_ready", load_ready)
    short = ("--tasks", "niah_single_1", "--length", "360", "--limit", "1", "--allocator", "adakv", "--ratio", "0.5")
    missing = "organisation/none"
    exclude = f"{{model: {other}, allocator: uniform}}"
    ended = lukv_bench(
        *("run", "--model", f"{tiny},{missing}", "--model", other, *short, "--exclude", exclude, "--db", "out.db"),
        "--json",
    )
    assert alive_at_load == [0, 0, 0]
    assert ended.code == 1
    assert [line for line in ended.sentences if "failed:" in line and missing in line and "model 2 of 3" in line]
    ran = {(row["model"], row["allocator"]) for row in ended.rows}
    assert ran == {("tiny", "full"), ("tiny", "uniform"), ("tiny", "adakv"), ("other", "full"), ("other", "adakv")}
    with Store.open(make_url("sqlite:///out.db"), create=False) as store:
        by_cell = read_commands(store, [row["cell"] for row in ended.rows])
    commands = {row["model"]: by_cell[row["cell"]] for row in ended.rows}
    assert "--model other" in commands["other"]
    assert "--model tiny --allocator" in commands["tiny"]


def test_a_first_model_that_cannot_be_run_ends_the_command(refused: Any, tiny: Path) -> None:
    short = ("--tasks", "niah_single_1", "--length", "360", "--limit", "1", "--ratio", "0.5", "--db", "out.db")
    refused(["run", "--model", tiny, "--exclude", "{allocator: [full, uniform, lukv]}", *short], "no combination")


@pytest.mark.parametrize("batch", [1, 3])
def test_fail_fast_ends_at_the_first_failed_answer_and_keeps_the_others(
    lukv_bench: Any, tiny: Path, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lukv_bench.allocators.adakv import AdaKV

    def fail(*_: Any) -> Any:
        raise ValueError("a slip")

    monkeypatch.setattr(AdaKV, "allocate", fail)
    short = ("--tasks", "niah_single_1", "--length", "360", "--limit", "3", "--ratio", "0.5", "--db", "out.db")
    run = ("run", "--model", tiny, "--allocator", "adakv,global", "--batch", batch, *short)
    ended = lukv_bench(*run, "--fail-fast")
    assert ended.code == 1
    (said,) = [line for line in ended.sentences if "--fail-fast" in line]
    assert "adakv x keydiff @ 0.5 on niah_single_1 sample 1/3" in said
    assert "a slip" in said
    stored = _rows("SELECT status, count(*) FROM answer GROUP BY status ORDER BY status")
    n_done = 2 if batch == 1 else 3  # those that decode together with it are answered
    assert stored == [("done", n_done), ("failed", 1)]
    assert _rows("SELECT status, exit_code FROM run") == [("failed", 1)]
