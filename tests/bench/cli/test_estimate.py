"""`estimate`: before any weights are fetched."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_a_folder_with_its_configuration_alone_is_enough(lukv_bench: Any, tiny: Path, home: Path) -> None:
    folder = home / "work" / "bare"
    folder.mkdir()
    (folder / "config.json").write_text((tiny / "config.json").read_text())
    command = ("estimate", "--model", "bare", "--context", "1000,2000", "--ratio", "0.5,0.8", "--memory", 1)
    ended = lukv_bench(*command, "--json")
    assert ended.code == 0, ended.err
    rows = json.loads(ended.out)
    per_token = 2 * 2 * 2 * 16 * 2
    assert [(row["n_context_tokens"], row["ratio"], row["kv_bytes_kept"]) for row in rows] == [
        (1000, "0.5", 500 * per_token),
        (1000, "0.8", 200 * per_token),
        (2000, "0.5", 1000 * per_token),
        (2000, "0.8", 400 * per_token),
    ]
    assert all(row["batch_kept"] > row["batch_full"] > 0 for row in rows)
    shown = lukv_bench(*command)
    assert "2000 tokens, prune 0.8: KV 100.00 KiB of 500.00 KiB; batch" in shown.out


def test_the_default_model_is_known_before_it_is_fetched(
    lukv_bench: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(home / "empty"))
    ended = lukv_bench("estimate", "--dtype", "float32")
    assert ended.code == 0, ended.err
    assert "KV 45.00 KiB a token" in ended.out
    assert not (home / "empty").exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"hidden_size": "wide"}, ("hidden_size", "config.json")),
        ({"max_position_embeddings": None}, ("max_position_embeddings", "config.json")),
        ({"model_type": "bloom", "max_position_embeddings": None}, ("how many tokens",)),
    ],
)
def test_a_configuration_that_says_too_little_is_one_sentence(
    refused: Any, tiny: Path, home: Path, changed: dict[str, Any], words: tuple[str, ...]
) -> None:
    folder = home / "work" / "odd"
    folder.mkdir()
    facts = json.loads((tiny / "config.json").read_text()) | changed
    facts = json.loads((tiny / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps(facts))
    refused(["estimate", "--model", "odd"], *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--memory", "0"), ("--memory",)),
        (("--context", "0"), ("--context",)),
        (("--context", "9000"), ("9000", "8192")),
        (("--dtype", "int4"), ("--dtype", "bfloat16")),
        (("--ratio", "2"), ("--ratio",)),
        (("--model", "nowhere"), ("nowhere",)),
    ],
)
def test_what_makes_no_sense_is_refused(refused: Any, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(["estimate", *arguments], *words)


def test_what_recurrent_states_take_is_said(lukv_bench: Any, script: Callable[[str], Any], home: Path) -> None:
    folder = home / "work" / "hybrid"
    script("tiny_architectures").tiny_config("qwen3_next").save_pretrained(folder)
    command = ("estimate", "--model", "hybrid", "--context", "100", "--ratio", "0.5", "--dtype", "float32")
    ended = lukv_bench(*command, "--json")
    assert ended.code == 0, ended.err
    (row,) = json.loads(ended.out)
    assert row["kv_bytes_full"] == 100 * row["kv_bytes_per_token"] + row["state_bytes"]
    assert row["kv_bytes_kept"] == 50 * row["kv_bytes_per_token"] + row["state_bytes"]
    shown = lukv_bench(*command).out
    assert "of 4 layers 1 are evicted; recurrent states take " in shown
