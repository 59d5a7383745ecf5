"""The model revision covers the tensors that are loaded, and no file beside them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

from lukv_bench import UserError
from lukv_bench.bench.models.aliases import SMOLLM2_135M
from lukv_bench.bench.models.revision import model_revision, weight_files
from lukv_bench.bench.record.hashing import content_hash


class Letters:
    """As much of a tokenizer as a revision reads."""

    def __init__(self, *added: AddedToken) -> None:
        self.added_tokens_decoder = dict(enumerate(added))

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": list(text.encode())}

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode()


class TidyLetters(Letters):
    """As tokenizers that clean up spaces."""

    def decode(self, ids: list[int]) -> str:
        return super().decode(ids).replace(" ,", ",")


def revision(folder: Path, tokenizer: Letters | None = None) -> str:
    return model_revision(folder, tokenizer or Letters(), AutoConfig.from_pretrained(folder), {1})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    return AutoModelForCausalLM.from_config(config)


@pytest.fixture
def folder(model: Any, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_the_default_models_revision_is_the_one_that_its_profiles_name(smollm2: Any) -> None:
    assert smollm2.revision == SMOLLM2_135M.revision


def test_nothing_is_settled_of_the_default_models_template_so_its_configurations_keep_their_ids(smollm2: Any) -> None:
    assert smollm2.template_record == ()
    assert content_hash(smollm2.tokenizer.chat_template)[:12] == SMOLLM2_135M.template


def test_what_decoding_alone_does_otherwise_is_another_revision(folder: Path) -> None:
    """Answers of one tokenizer would else be taken for those of the other."""
    special, plain = AddedToken("<x>", special=True), AddedToken("<x>", special=False)
    tokenizers = (
        Letters(special),
        Letters(plain),
        Letters(AddedToken("<x>", special=True, rstrip=True)),
        TidyLetters(),
    )
    assert len({revision(folder, tokenizer) for tokenizer in tokenizers}) == 4
    assert revision(folder, Letters(special)) == revision(folder), "what most tokenizers do adds nothing to it"


def _consolidated(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")


def _stray_shard(folder: Path) -> None:
    save_file({"stray": torch.ones(3)}, folder / "model-00001-of-00002.safetensors")


def _stray_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "gone.safetensors"}}))


def _adapter(folder: Path) -> None:
    save_file({"lora": torch.ones(3)}, folder / "adapter_model.safetensors")


@pytest.mark.parametrize("add", [_consolidated, _stray_shard, _stray_index, _adapter])
def test_files_that_are_not_loaded_change_no_revision(folder: Path, add: Callable[[Path], None]) -> None:
    before = revision(folder)
    add(folder)
    assert revision(folder) == before


def test_shards_have_the_revision_of_the_whole(model: Any, folder: Path, tmp_path: Path) -> None:
    sharded = tmp_path / "sharded"
    model.save_pretrained(sharded, max_shard_size="20KB")
    assert len(weight_files(sharded, model.config)) > 1
    assert revision(sharded) == revision(folder)
    _consolidated_shard = sharded / "consolidated.00.safetensors"
    save_file({"x": torch.ones(2)}, _consolidated_shard)
    assert revision(sharded) == revision(folder)


def test_a_changed_tensor_is_another_model(folder: Path) -> None:
    before = revision(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert revision(folder) != before


def test_a_missing_shard_an_adapter_and_no_weights_are_refused_by_name(
    model: Any, folder: Path, tmp_path: Path
) -> None:
    sharded = tmp_path / "sharded"
    model.save_pretrained(sharded, max_shard_size="20KB")
    lost = weight_files(sharded, model.config)[1]
    lost.unlink()
    with pytest.raises(UserError, match=f"lacks {lost.name}, which model.safetensors.index.json names"):
        revision(sharded)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="holds a PEFT adapter"):
        revision(folder)
    (folder / "adapter_config.json").unlink()
    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")
    with pytest.raises(UserError, match=r"holds no model\.safetensors"):
        revision(folder)
