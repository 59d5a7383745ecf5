"""`profile`, and profiles that a run makes itself."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from transformers import Gemma2Config, Gemma3TextConfig

from lukv_bench.bench.profiles.file import load_profile

from ...tiny_model import H, change_json, make_model


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


@pytest.mark.parametrize(
    ("kind", "options", "scored"),
    [(Gemma2Config, {"attn_logit_softcapping": 5.0}, ["softcap"]), (Gemma3TextConfig, {}, None)],
)
def test_a_model_with_sliding_windows_has_a_profile_of_the_layers_that_are_evicted(
    lukv_bench: Any, home: Path, texts: tuple[Path, Path], kind: Any, options: dict[str, Any], scored: list[str] | None
) -> None:
    """Its windows are shorter than the texts and the contexts."""
    types = ["sliding_attention", "full_attention", "sliding_attention", "full_attention", "sliding_attention"]
    windows = {"num_hidden_layers": 5, "layer_types": types, "sliding_window": 32, "query_pre_attn_scalar": 16}
    folder = make_model(home / "work" / "windowed", kind=kind, **windows, **options)
    change_json(folder / "generation_config.json", eos_token_id=list(range(0, 4000, 9)))
    make = ("profile", "--model", folder, "--text", texts[0], "--questions", texts[1])
    ended = lukv_bench(*make, "--scorer", "snapkv", "--out", "p.safetensors")
    assert ended.code == 0, ended.err
    profile = load_profile(home / "work" / "p.safetensors")
    assert profile.arrays["curve"].shape[1:] == (2, H)
    assert profile.made["evicted_layers"] == [1, 3]
    assert profile.made.get("scored_logits") == scored
    short = ("--tasks", "niah_single_1", "--length", 360, "--limit", 1, "--ratio", 0.5, "--db", "out.db", "--json")
    lukv = ("--allocator", "lukv:profile=p.safetensors", "--scorer", "snapkv", "--no-baselines")
    ran = lukv_bench("run", "--model", folder, *lukv, *short)
    assert ran.code == 0, ran.err
    (row,) = ran.rows
    assert (row["allocator"], row["status"], row["samples_asked"]) == ("lukv", "complete", 1)
    assert row["spec"]["evicted_layers"] == [1, 3]
    assert row["spec"].get("scored_logits") == scored
    assert row["events"].keys() == {"some_layers_evicted"}
    assert 0 < row["kv_tokens_kept"] < row["kv_tokens_full"]


def test_one_profile_of_heads_serves_every_scorer_argument_sink_and_window(
    lukv_bench: Any, tiny: Path, home: Path
) -> None:
    heads = ("--allocator", "headkv", "--allocator", "headkv:beta=2", "--allocator", "shuffled:of=headkv")
    command = ("run", "--model", tiny, *heads, "--allocator", "duoattention", "--no-baselines", "--ratio", 0.5)
    short = ("--tasks", "niah_single_1", "--length", 360, "--limit", 1, "--db", "out.db", "--json")
    ended = lukv_bench(*command, "--scorer", "keydiff", "--scorer", "snapkv", *short)
    assert ended.code == 0, ended.err
    assert len(ended.rows) == 8
    assert {(row["status"], str(row["events"])) for row in ended.rows} == {("complete", "{}")}
    made = sorted(path.name.partition("-")[0] for path in (home / "cache" / "profiles").glob("*.safetensors"))
    assert made == ["duoattention", "headkv"]
    again = lukv_bench(*command, "--scorer", "keydiff", "--sink", 2, "--window", 8, *short)
    assert again.code == 0, again.err
    assert not [line for line in again.progress if "calibrating" in line]
    assert {str(row["events"]) for row in again.rows} == {"{}"}
