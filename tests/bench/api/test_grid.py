"""A grid run from Python is the run of the command line."""

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lukv_bench as lb
from lukv_bench.db.queries import to_records

SMALL: dict[str, Any] = {"tasks": ["niah_single_1"], "length": [360], "limit": 2}
WORDS = ("--tasks", "niah_single_1", "--length", "360", "--limit", "2")


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_grid_gives_the_rows_of_results_and_the_command_finds_nothing_left_to_do(lukv_bench: Any, tiny: Path) -> None:
    frame = lb.run(
        model=str(tiny), allocator=["uniform", "adakv"], ratio=np.array([0.5, 0.8]), db="x.db", progress=False, **SMALL
    )
    assert len(frame) == 5
    assert set(frame["status"]) == {"complete"}
    assert set(frame["allocator"]) == {"full", "uniform", "adakv"}
    rows = lukv_bench("results", "--db", "x.db", "--json").rows
    assert to_records(frame) == rows
    again = lukv_bench(
        *("run", "--model", tiny, "--allocator", "uniform,adakv", "--ratio", "0.5,0.8", "--db", "x.db", *WORDS)
    )
    assert "0 new answers" in again.err


def test_an_axis_may_be_any_iterable(tiny: Path) -> None:
    options: dict[str, Any] = {"model": str(tiny), "db": "x.db", "progress": False, "limit": 1}
    frame = lb.run(
        **options,
        allocator=(name for name in ("uniform", "adakv")),
        scorer=dict.fromkeys(["knorm", "keydiff"]).keys(),
        ratio=iter([0.5, Decimal("0.8")]),
        tasks=map(str, ["niah_single_1"]),
        length=range(360, 361),
        seed={3},
    )
    assert len(frame) == 9
    assert set(frame["ratio"]) == {0.0, 0.5, 0.8}
    assert set(frame["scorer"].dropna()) == {"knorm", "keydiff"}
    (stored,) = sqlite3.connect("x.db").execute("SELECT command FROM run").fetchone()
    plugins = "--allocator uniform --allocator adakv --scorer knorm --scorer keydiff"
    typed = f"{plugins} --ratio 0.5 --ratio 0.8 --tasks niah_single_1 --length 360 --limit 1 --seed 3"
    assert typed in " ".join(json.loads(stored))


def test_a_loaded_model_serves_several_runs_and_reports_progress(tiny: Path) -> None:
    model = lb.load(str(tiny), progress=False)
    stages: list[tuple[str, int, int]] = []

    def report(stage: str, done: int, total: int) -> None:
        stages.append((stage, done, total))

    first = lb.run(model=model, allocator="adakv", keep_tokens=np.int64(100), db=Path("x.db"), progress=report, **SMALL)
    assert stages[-1][1:] == (6, 6)
    second = lb.run(model=model, allocator="adakv", keep_tokens=100, db="x.db", progress=False, **SMALL)
    pd.testing.assert_frame_equal(first, second)


def test_an_interrupted_run_loses_nothing_and_goes_on(tiny: Path) -> None:
    options = {"model": str(tiny), "allocator": "uniform", "ratio": 0.5, "db": "x.db", **SMALL}

    def stop_after_one(_stage: str, done: int, total: int) -> None:
        if done == 1 and total == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="1 of 4 answers are stored"):
        lb.run(progress=stop_after_one, **options)
    answers = lb.read("x.db").answers()
    assert len(answers) == 1
    assert lb.run(progress=False, **options)["status"].eq("complete").all()
    kept = lb.read("x.db").answers().merge(answers[["cell", "sample", "text"]], on=["cell", "sample"])
    assert kept["text_x"].equals(kept["text_y"])


def test_failed_answers_are_warned_of_and_counted(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lukv_bench.scorers.keydiff import KeyDiff

    def fail(*_: object) -> None:
        raise ArithmeticError("no direction")

    monkeypatch.setattr(KeyDiff, "score", fail)
    with pytest.warns(RuntimeWarning, match=r"2 of 2 answers: .*no direction"):
        frame = lb.run(model=str(tiny), allocator="uniform", db="x.db", progress=False, **SMALL)
    uniform = frame[frame["allocator"] == "uniform"].iloc[0]
    assert (uniform["n"], uniform["n_failed"]) == (0, 2)
    assert "no direction" in uniform["error"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 1.5}, "ratio is the share pruned, at least 0 and below 1, not 1.5; 0.8 keeps a fifth"),
        ({"ratio": 0.5, "keep_tokens": 9}, "give either ratio or keep_tokens, not both"),
        ({"length": 1.5}, "length takes whole numbers such as 1024, not 1.5"),
        ({"allocator": "lukw"}, "lukv"),
        ({"allocator": []}, "allocator is empty"),
        ({"tasks": []}, "tasks is empty"),
        ({"limit": 0}, "limit takes a number of at least 1"),
        ({"model": "nosuch"}, "nosuch"),
        ({"samples": "nosuch"}, "samples nosuch is not a folder"),
        ({"tasks": "no_such_task"}, "no_such_task"),
        ({"db": ""}, "name a file with db"),
        ({"limit": 2.5}, "limit takes a whole number, not 2.5"),
        ({"batch": "2"}, "batch takes \"auto\" or a whole number, not '2'"),
        ({"seed": True}, "seed takes whole numbers such as 1024, not True"),
        ({"length": "1024"}, "length takes whole numbers such as 1024, not '1024'"),
        ({"length": [1024, None]}, "length takes whole numbers such as 1024, not None"),
        ({"keep_tokens": {20: 30}}, "keep_tokens takes whole numbers such as 1024, not {20: 30}"),
        ({"max_length": 99.0}, "max_length takes a whole number, not 99.0"),
        ({"sink": "4"}, "sink takes a whole number, not '4'"),
        ({"window": 1.0}, "window takes a whole number, not 1.0"),
        ({"ratio": b"0.5"}, "ratio takes a number in [0, 1) such as 0.8"),
        ({"tasks": b"niah_single_1"}, "tasks takes a text, not b'niah_single_1'"),
        ({"allocator": {"uniform": 1}}, "allocator takes a text, not {'uniform': 1}"),
        ({"scorer": ["keydiff", None]}, "scorer takes a text, not None"),
        ({"model": None}, "model takes a text, not None"),
        ({"protocol": ["aware"]}, "protocol takes a text, not ['aware']"),
        ({"device": 0}, "device takes a text, not 0"),
        ({"dtype": float}, "dtype takes a text, not <class 'float'>"),
        ({"data_dir": 3}, "data_dir takes a path, not 3"),
        ({"samples": ["a"]}, "samples takes a path, not ['a']"),
        ({"db": 3}, "db takes a path, not 3"),
        ({"thinking": "no"}, "thinking is True or False, not 'no'"),
        ({"truncate": None}, "truncate is True or False, not None"),
        ({"baselines": 0}, "baselines is True or False, not 0"),
        ({"redo": 1}, "redo is True or False, not 1"),
        ({"progress": "no"}, "progress is True, False or a function, not 'no'"),
    ],
)
def test_bad_options_are_refused_in_the_words_of_python(options: dict[str, Any], message: str, home: Path) -> None:
    with pytest.raises(lb.UserError) as refused:
        lb.run(**{"db": "x.db", "progress": False, **options})
    assert message in str(refused.value)
    assert "--" not in str(refused.value)
    assert not Path("x.db").exists()


def test_a_loaded_model_takes_no_settings_of_loading(tiny: Path) -> None:
    model = lb.load(str(tiny), progress=False)
    with pytest.raises(lb.UserError, match="give device, dtype, backend and thinking to `load`"):
        lb.run(model=model, dtype="bfloat16", db="x.db", progress=False, **SMALL)
