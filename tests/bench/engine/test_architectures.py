"""A dozen kinds of decoder, tiny: those that run give what `generate` gives, the others are one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from lukv_bench import UserError
from lukv_bench.bench.engine.ready import ready_model

CPU = torch.device("cpu")


RUNS = ["bart", "bert", "gpt2", "gpt_neox", "phi", "cohere", "olmo2", "opt", "mistral"]
WINDOWED = [
    *("afmoe", "cohere2", "gemma2", "gemma3_text", "gemma3n_text", "gpt_oss", "olmo3"),
    *("gemma4_text with borrowed layers", "qwen2 with windows"),
]
"""Some of their layers have a sliding window, and are not evicted."""
HYBRID = ["bamba", "lfm2", "nemotron_h", "zaya"]
"""Some of their layers have a recurrent state, in place of attention or beside it; more in `test_states.py`."""
REFUSED = {
    "diffllama": "computes with the cached keys and values itself",
    "doge": "computes with the cached keys and values itself",
    "deepseek_v3": r"latent vectors \(MLA\)",
    "deepseek_v32": r"latent vectors \(MLA\)",
    "camembert": "does not count positions from 0",
    "data2vec-text": "does not count positions from 0",
    "roberta": "does not count positions from 0",
    "falcon": "does not attend through transformers' attention interface",
    "minimax": "keeps no keys of its own for each token",
    "mamba": "keeps no cache of keys and values",
}


@pytest.fixture(scope="module")
def tiny(script: Callable[[str], Any]) -> Any:
    return script("tiny_architectures")


@pytest.fixture(scope="module")
def oracle(script: Callable[[str], Any]) -> Any:
    return script("full_vs_oracle")


@pytest.mark.parametrize("model_type", [*RUNS, *WINDOWED, *HYBRID])
def test_it_runs_as_generate_does_and_evicts_as_a_mask_does(
    tiny: Any, oracle: Any, model_type: str, tmp_path: Path
) -> None:
    """The text goes beyond every window, but for Mistral, in which every layer slides."""
    tiny.save_tiny(model_type, tmp_path)
    loaded = ready_model(str(tmp_path), CPU, "float32")
    windows = {layer.window for layer in loaded.shape.layers if layer.window is not None}
    assert windows == ({tiny.WINDOW} if model_type in WINDOWED else set())
    assert bool(loaded.shape.stateful) == (model_type in HYBRID)
    n = tiny.prompt_length(loaded.reach)
    assert n > tiny.WINDOW or model_type == "mistral"
    plain = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert oracle.first_difference(loaded, plain, n) is None
    assert oracle.evicted_error(loaded, plain, n) is None
    oracle.score_all(loaded, n)


@pytest.mark.parametrize("model_type", REFUSED)
def test_it_is_refused_in_one_sentence_that_says_why(tiny: Any, model_type: str, tmp_path: Path) -> None:
    tiny.save_tiny(model_type, tmp_path)
    with pytest.raises(UserError, match=REFUSED[model_type]) as refused:
        ready_model(str(tmp_path), CPU, "float32")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) <= 400


def test_a_cache_that_drops_what_the_mask_shows_bounds_the_sequence(tiny: Any, tmp_path: Path) -> None:
    """Beyond it, `generate` sees what is cached, and a single pass sees all."""
    tiny.save_tiny("moshi", tmp_path)
    loaded = ready_model(str(tmp_path), CPU, "float32")
    assert (loaded.reach, loaded.shape.kept_whole) == (tiny.WINDOW, ())


def test_a_scorer_is_refused_in_words_where_some_layers_have_no_rotary_embedding(
    tiny: Any, oracle: Any, tmp_path: Path
) -> None:
    """Beam's layers of full attention have none; their queries are scaled by position instead."""
    tiny.save_tiny("beam", tmp_path)
    sentences = oracle.score_all(ready_model(str(tmp_path), CPU, "float32"), 48)
    assert {name: sentence for name, sentence in sentences.items() if sentence} == {
        "expected_attention": "the scorer expected_attention cannot rank for FOLDER: the layers of type "
        "full_attention of beam have no rotary embedding; choose another --scorer."
    }


def test_the_decoder_of_a_model_that_takes_images_is_found(tiny: Any, tmp_path: Path) -> None:
    tiny.save_tiny("gemma3", tmp_path)
    shape = ready_model(str(tmp_path), CPU, "float32").shape
    assert (len(shape.layers), shape.evicted) == (4, (3,))


def test_the_table_is_of_the_release_that_is_tested() -> None:
    root = Path(__file__).resolve().parents[3]
    pinned = next(
        line for line in (root / "constraints.txt").read_text().splitlines() if line.startswith("transformers==")
    )
    assert f"transformers {pinned.partition('==')[2]} builds" in (root / "docs" / "architectures.md").read_text()
