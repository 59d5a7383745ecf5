"""`profile`, and profiles that a run makes itself."""

import re
import shlex
from pathlib import Path
from typing import Any

from lukv_bench.bench.profiles.file import load_profile


def test_the_command_that_profile_prints_runs_under_the_profiles_own_protection(
    lukv_bench: Any, tiny: Path, texts: tuple[Path, Path]
) -> None:
    make = ("profile", "--model", tiny, "--text", texts[0], "--questions", texts[1], "--out", "p.safetensors")
    ended = lukv_bench(*make, "--sink", 2, "--window", 8)
    assert ended.code == 0, ended.err
    use = re.search("use it with: lukv-bench (.*)", ended.err)
    assert use is not None
    short = ("--tasks", "niah_single_1", "--length", 360, "--limit", 1, "--ratio", 0.5, "--db", "out.db", "--json")
    ran = lukv_bench(*shlex.split(use[1]), *short)
    assert ran.code == 0, ran.err
    (row,) = [row for row in ran.rows if row["allocator"] == "lukv"]
    assert (row["sink"], row["window"]) == (2, 8)
    assert row["events"] == {}, "not a profile of another protection"


def test_a_model_shorter_than_the_built_in_texts_runs_by_default_and_its_profile_says_so(
    lukv_bench: Any, tiny: Path, home: Path
) -> None:
    """Its 2,048 positions hold less than half of a text."""
    command = ("run", "--model", tiny, "--tasks", "niah_single_1", "--length", 360, "--limit", 1, "--db", "out.db")
    ended = lukv_bench(*command)
    assert ended.code == 0, ended.err
    cut = [line for line in ended.sentences if "the calibration text" in line]
    assert [re.search(r"text (\w+) is cut to its first \d+ of \d+ characters", line)[1] for line in cut] == [  # type: ignore[index]
        "narrative",
        "code",
        "records",
    ]
    (path,) = (home / "cache" / "profiles").glob("*.safetensors")
    documents = load_profile(path).made["documents"]
    assert all(0 < document["characters"] < document["of_characters"] for document in documents)
    assert [line for line in ended.progress if "(text 1 of 3)" in line]
    again = lukv_bench(*command)
    assert (again.code, again.sentences[-1][:13]) == (0, "0 new answers")
    assert not [line for line in again.progress if "calibrating" in line]
