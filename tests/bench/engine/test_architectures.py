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


RUNS = ["afmoe", "bart", "bert", "gpt2", "gpt_neox", "phi", "gemma3_text", "cohere", "olmo2", "opt"]
REFUSED = {
    "diffllama": "computes with the cached keys and values itself",
    "doge": "computes with the cached keys and values itself",
    "deepseek_v3": r"keys and values differ in size \(\d+ and \d+ numbers",
    "deepseek_v32": "keys of an index",
    "camembert": "does not count positions from 0",
    "data2vec-text": "does not count positions from 0",
    "roberta": "does not count positions from 0",
    "falcon": "does not attend through transformers' attention interface",
    "gemma2": "caps its attention logits",
    "gemma3n_text": r"layer 5 keeps no keys and values of its own \(layers that share",
    "gemma4_text": "its layers differ in .*head_dim",
    "gpt_oss": "attention sinks",
    "lfm2": "recurrent or convolution state",
    "mamba": "keeps no cache of keys and values",
}


@pytest.fixture(scope="module")
def tiny(script: Callable[[str], Any]) -> Any:
    return script("tiny_architectures")


@pytest.fixture(scope="module")
def oracle(script: Callable[[str], Any]) -> Any:
    return script("full_vs_oracle")


@pytest.mark.parametrize("model_type", RUNS)
def test_it_runs_as_generate_does_and_evicts_as_a_mask_does(
    tiny: Any, oracle: Any, model_type: str, tmp_path: Path
) -> None:
    tiny.save_tiny(model_type, tmp_path)
    loaded = ready_model(str(tmp_path), CPU, "float32")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert oracle.first_difference(loaded, plain, 48) is None
    assert oracle.evicted_error(loaded, plain, 48) is None
    oracle.score_all(loaded, 48)


@pytest.mark.parametrize("model_type", REFUSED)
def test_it_is_refused_in_one_sentence_that_says_why(tiny: Any, model_type: str, tmp_path: Path) -> None:
    tiny.save_tiny(model_type, tmp_path)
    with pytest.raises(UserError, match=REFUSED[model_type]) as refused:
        ready_model(str(tmp_path), CPU, "float32")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) <= 400


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
    assert ready_model(str(tmp_path), CPU, "float32").shape.n_layers == 4


def test_the_table_is_of_the_release_that_is_tested() -> None:
    root = Path(__file__).resolve().parents[3]
    pinned = next(
        line for line in (root / "constraints.txt").read_text().splitlines() if line.startswith("transformers==")
    )
    assert f"transformers {pinned.partition('==')[2]} builds" in (root / "docs" / "architectures.md").read_text()
