"""Models whose rotary embedding depends on the length, and scorers that read what a model does not have."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, CohereConfig

D = 16
RUN = ("--tasks", "niah_single_1", "--length", "360", "--limit", "1", "--db", "out.db")
METHODS = (
    "--allocator=full",
    "--allocator=adakv",
    "--scorer=expected_attention:n_future=64",
    "--scorer=snapkv",
    "--ratio=0.5",
    "--batch=4",
)


def longrope(switch: int) -> dict[str, Any]:
    """Short factors of 1 up to `switch` tokens, long ones behind; the scale of cos and sin is left at 1."""
    return {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * (D // 2),
        "long_factor": [1.2 + i for i in range(D // 2)],
        "original_max_position_embeddings": switch,
        "attention_factor": 1.0,
    }


@pytest.fixture
def switching(tiny: Path, home: Path, change: Callable[..., None]) -> Callable[[int], Path]:
    """The tiny model with a rotary embedding that changes behind so many tokens."""

    def make(switch: int) -> Path:
        folder = home / "work" / f"switch-{switch}"
        folder.mkdir()
        for file in tiny.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        change(folder / "generation_config.json", eos_token_id=list(range(250)))  # answers of some 16 tokens
        change(folder / "config.json", rope_parameters=longrope(switch))
        return folder

    return make


def answers(lukv_bench: Any, model: Path, *arguments: object) -> dict[tuple[str, int], tuple[str, list[Any], int]]:
    """Text, events and prompt tokens by configuration and sample."""
    Path("out.db").unlink(missing_ok=True)
    ended = lukv_bench("run", "--model", model, *RUN, *arguments)
    assert ended.code == 0, ended.err
    connection = sqlite3.connect("out.db")
    sql = """SELECT f.label, s.ordinal, a.text, a.events, a.n_context_tokens + a.n_question_tokens FROM answer a
             JOIN sample s ON a.sample_id = s.id JOIN cell c ON a.cell_id = c.id
             JOIN configuration f ON c.configuration_id = f.id"""
    rows = connection.execute(sql).fetchall()
    connection.close()
    return {(label, ordinal): (text, json.loads(events), n) for label, ordinal, text, events, n in rows}


def test_a_prompt_behind_the_switch_is_answered_as_if_all_were_behind_it(
    lukv_bench: Any, switching: Callable[[int], Path]
) -> None:
    """The switch lies in the context, in the question, in the answer, behind all; each beside a model that has none."""
    always, never = (answers(lukv_bench, switching(switch), *METHODS) for switch in (1, 2000))
    assert all(always[key][0] != never[key][0] for key in always), "the two rotations must show in the answers"
    n_prompt = next(iter(always.values()))[2]
    for switch, expected in (
        (100, always),
        (n_prompt - 8, always),
        (n_prompt + 20, always),
        (n_prompt + 400, never),
    ):
        found = answers(lukv_bench, switching(switch), *METHODS)
        assert {key: text for key, (text, *_) in found.items()} == {key: text for key, (text, *_) in expected.items()}
        events = [event for _, events, _ in found.values() for event in events]
        inside = switch == n_prompt + 20
        assert {event["event"] for event in events} == ({"rotary_switch_in_answer"} if inside else set())


def test_a_profile_is_calibrated_for_the_length_of_its_answers(
    lukv_bench: Any, switching: Callable[[int], Path], tiny: Path, texts: tuple[Path, Path], home: Path
) -> None:
    """The text alone ends before the switch; with question and answer it goes beyond."""

    def calibrated(switch: int) -> dict[str, Any]:
        out = home / "work" / f"profile-{switch}.safetensors"
        ended = lukv_bench(
            "profile",
            *("--model", switching(switch), "--text", texts[0], "--questions", texts[1], "--out", out),
            *("--scorer", "expected_attention"),
        )
        assert ended.code == 0, ended.err
        return load_file(out)

    n_text = len(AutoTokenizer.from_pretrained(tiny)(texts[0].read_text()).input_ids)
    always, here, never = calibrated(1), calibrated(n_text + 10), calibrated(2000)
    for name, array in always.items():
        assert array.equal(here[name]), name
    assert not always["curve"].equal(never["curve"])


@pytest.fixture
def cohere(tiny: Path, home: Path) -> Path:
    """A model that rotates neighbouring dims together: its queries before the rotary embedding are not read."""
    folder = home / "work" / "cohere"
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    torch.manual_seed(0)
    config = CohereConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=0,
        max_position_embeddings=2048,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_scorer_that_reads_what_the_model_lacks_is_refused_before_anything_is_written(
    refused: Callable[..., str], cohere: Path, texts: tuple[Path, Path]
) -> None:
    expected = ("expected_attention", "cohere", "before the rotary embedding", "choose another --scorer")
    scorer = ("--model", cohere, "--scorer", "expected_attention")
    refused(["run", *scorer, *RUN], *expected)
    refused(["profile", *scorer, "--text", texts[0], "--questions", texts[1], "--out", "p.safetensors"], *expected)
    refused(["inspect", *scorer, "--context", texts[0], "--allocator", "uniform", "--out", "kept.npz"], *expected)
