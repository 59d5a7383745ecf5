"""Options that take several values, repeated or between commas, and options that take one."""

from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.plugins.names import split_specs

SHORT = ("--tasks", "niah_single_1", "--length", "360")
ONE = ("--allocator", "uniform", "--no-baselines", "--limit", "1", "--db", "out.db", "--json")


def cells(lukv_bench: Any, *arguments: object) -> set[tuple[Any, ...]]:
    ended = lukv_bench("run", *ONE, *arguments)
    assert ended.code == 0, ended.err
    names = ("task", "length", "seed", "scorer", "ratio", "keep_tokens")
    return {tuple(row[name] for name in names) for row in ended.rows}


def test_every_axis_runs_all_its_values_repeated_or_between_commas(lukv_bench: Any, tiny: Path) -> None:
    axes = {
        "--tasks": ["niah_single_1", "niah_single_2"],
        "--length": ["360", "420"],
        "--seed": ["0", "3"],
        "--scorer": ["snapkv:window=8,kernel=5", "keydiff"],
        "--ratio": ["0.5", "0.25"],
    }
    repeated = [word for option, values in axes.items() for value in values for word in (option, value)]
    ran = cells(lukv_bench, "--model", tiny, *repeated)
    assert ran == {
        (task, length, seed, scorer, ratio, None)
        for task in ("niah_single_1", "niah_single_2")
        for length in (360, 420)
        for seed in (0, 3)
        for scorer in ("snapkv", "keydiff")
        for ratio in (0.5, 0.25)
    }
    commas = [word for option, values in axes.items() for word in (option, ",".join(values))]
    again = lukv_bench("run", *ONE, "--model", tiny, *commas)
    assert "0 new answers" in again.err, "the same cells"
    assert len(again.rows) == len(ran)


@pytest.mark.parametrize("given", [("--keep-tokens", "64", "--keep-tokens", "80"), ("--keep-tokens", "64,80")])
def test_numbers_of_tokens_to_keep_are_an_axis(lukv_bench: Any, tiny: Path, given: tuple[str, ...]) -> None:
    ran = cells(lukv_bench, "--model", tiny, *SHORT, *given)
    assert ran == {("niah_single_1", 360, 0, "keydiff", None, 64), ("niah_single_1", 360, 0, "keydiff", None, 80)}


def test_seeds_together_answer_as_each_alone(lukv_bench: Any, tiny: Path) -> None:
    together = lukv_bench("run", *ONE, "--model", tiny, *SHORT, "--seed", "1,2")
    again = [lukv_bench("run", *ONE, "--model", tiny, *SHORT, "--seed", seed) for seed in (1, 2)]
    assert [row["cell"] for run in again for row in run.rows] == [row["cell"] for row in together.rows]
    assert all("0 new answers" in run.err for run in again)


@pytest.mark.parametrize("given", [("--task", "niah_single_1", "--task", "niah_single_2"), ("--task", "ruler")])
def test_results_takes_tasks_and_families_as_run_does(lukv_bench: Any, tiny: Path, given: tuple[str, ...]) -> None:
    cells(lukv_bench, "--model", tiny, "--length", "360", "--tasks", "niah_single_1,niah_single_2")
    rows = lukv_bench("results", "--db", "out.db", "--json", *given).rows
    assert {row["task"] for row in rows} == {"niah_single_1", "niah_single_2"}
    assert lukv_bench("results", "--db", "out.db", "--json", "--task", "longbench").rows == []


@pytest.mark.parametrize(
    "command",
    [
        "run --device A --device B",
        "run --db a.db --limit 1 --db b.db",
        "run --limit 1 --limit 2",
        "run --sink 1 --sink=2",
        "results --db a.db --db b.db",
        "profile --out a --out b",
        "inspect --context a --ratio 0.5 --ratio 0.8",
        "tasks export --out a --out b",
        "tasks export --out a --seed 0 --seed 1",
    ],
)
def test_an_option_of_one_value_given_twice_is_refused(refused: Any, command: str) -> None:
    sentence = refused(command.split(), "2 times")
    assert command.split()[-2].partition("=")[0] in sentence or "--sink" in sentence


@pytest.mark.parametrize(
    "command",
    ["inspect --context a --ratio 0.5,0.8", "inspect --context a --keep-tokens 8,9", "tasks export --out a --seed 0,1"],
)
def test_an_axis_of_run_that_takes_one_value_elsewhere_says_so(refused: Any, command: str) -> None:
    refused(command.split(), command.split()[-2], command.split()[-1], "take", "one ")


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("keydiff", ["keydiff"]),
        ("keydiff, knorm,", ["keydiff", "knorm"]),
        ("snapkv:window=64,kernel=5", ["snapkv:window=64,kernel=5"]),
        ("snapkv:window=64,kernel=5,keydiff", ["snapkv:window=64,kernel=5", "keydiff"]),
        ("keydiff,snapkv:window=64,knorm,keydiff", ["keydiff", "snapkv:window=64", "knorm"]),
        ("critical:of=(snapkv:window=64,kernel=5),knorm", ["critical:of=(snapkv:window=64,kernel=5)", "knorm"]),
        ("critical:of=keydiff,knorm:x=1", ["critical:of=keydiff", "knorm:x=1"]),
        ("critical:of=a,b.safetensors,c d", ["critical:of=a,b.safetensors,c d"]),
    ],
)
def test_a_comma_between_plugins_is_told_from_one_inside(text: str, specs: list[str]) -> None:
    assert split_specs("scorer", [text]) == specs


@pytest.mark.parametrize("spec", ["critical:of=(snapkv:window=64", "keydiff,critical:of=((snapkv)"])
def test_an_open_bracket_is_refused_by_name_before_any_plugin_is_loaded(refused: Any, spec: str) -> None:
    sentence = refused(["run", "--scorer", spec, "--model", "nobody/nothing"], "do not match")
    assert "critical:...=(NAME:key=value,...)" in sentence
