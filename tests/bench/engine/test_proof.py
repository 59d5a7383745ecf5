"""What the proof at load sees: attention that is not the model's own is refused in every dtype, and named."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CohereConfig, Gemma2Config, LlamaConfig, MistralConfig

from lukv_bench import UserError
from lukv_bench.bench.engine import attention
from lukv_bench.bench.engine.cache import PrefillLayer, StoreLayer
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.form import Form

Build = Callable[..., LoadedModel]
DTYPES = ["float32", "bfloat16", "float16"]
HEADS = {"hidden_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def in_dtype(loaded: LoadedModel, dtype: str) -> LoadedModel:
    loaded.model.to(getattr(torch, dtype))
    return LoadedModel(**{**vars(loaded), "dtype": dtype})


def cohere(sizes: dict[str, Any]) -> CohereConfig:
    return CohereConfig(**sizes, **HEADS, pad_token_id=0, bos_token_id=1, eos_token_id=2, logit_scale=0.0625)


def llama(sizes: dict[str, Any]) -> LlamaConfig:
    return LlamaConfig(**sizes, **HEADS, head_dim=12)


@dtypes
@pytest.mark.parametrize("config", [cohere, llama])
def test_a_right_model_is_served(build: Build, sizes: dict[str, Any], config: Any, dtype: str) -> None:
    assert prove_attention(in_dtype(build(config(sizes)), dtype)).reach == 512


@dtypes
@pytest.mark.parametrize("factor", [1.1, 1.3, 0.9])
@pytest.mark.parametrize("layer", [PrefillLayer, StoreLayer])
def test_a_wrong_scale_is_refused(
    build: Build, sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch, layer: Any, factor: float, dtype: str
) -> None:
    """Cohere's logits are a sixteenth of others': what is allowed must not be measured by a fixed number."""
    attend = layer.attend

    def wrong(self: Any, module: Any, query: Tensor, form: Form) -> Tensor:
        return attend(self, module, query, replace(form, scale=form.scale * factor))

    loaded = in_dtype(build(cohere(sizes)), dtype)
    monkeypatch.setattr(layer, "attend", wrong)
    with pytest.raises(UserError, match="attention in layer 0 differs"):
        prove_attention(loaded)


@dtypes
def test_a_wrong_grouping_of_heads_is_refused(
    build: Build, sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    attend = PrefillLayer.attend

    def wrong(self: Any, module: Any, query: Tensor, form: Form) -> Tensor:
        order = [0, 2, 1, 3]  # query heads dealt out over the KV heads instead of in blocks
        return attend(self, module, query[:, order], form)[:, :, order]

    monkeypatch.setattr(PrefillLayer, "attend", wrong)
    with pytest.raises(UserError, match="attention in layer 0 differs"):
        prove_attention(in_dtype(build(llama(sizes)), dtype))


@dtypes
def test_a_lost_softcap_is_refused(
    build: Build, sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    own = attention._attend

    def deaf(*args: Any, softcap: float | None = None, **more: Any) -> Any:
        return own(*args, **more)

    config = Gemma2Config(**sizes, **HEADS, head_dim=12, attn_logit_softcapping=5.0, query_pre_attn_scalar=12)
    monkeypatch.setattr(attention, "_attend", deaf)
    with pytest.raises(UserError, match="attention in layer 0 differs"):
        prove_attention(in_dtype(build(config, "eager"), dtype))


@dtypes
def test_a_lost_window_is_refused(
    build: Build, sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    monkeypatch.setattr(attention, "_mask", lambda *_, **__: None)
    config = MistralConfig(**sizes, **HEADS, head_dim=10, sliding_window=12)
    with pytest.raises(UserError, match="attention in layer 0 differs"):
        prove_attention(in_dtype(build(config), dtype))


def test_an_overflow_is_called_one(build: Build, sizes: dict[str, Any]) -> None:
    loaded = in_dtype(build(llama(sizes)), "float16")
    loaded.model.model.layers[0].mlp.down_proj.weight.data.fill_(6e4)
    with pytest.raises(UserError, match=r"overflows in float16 .*bfloat16") as refused:
        prove_attention(loaded)
    assert "Llama-" not in str(refused.value)


def test_the_proof_leaves_the_weights_as_they_were(build: Build, sizes: dict[str, Any]) -> None:
    loaded = in_dtype(build(llama(sizes)), "bfloat16")
    before = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    prove_attention(loaded)
    after = loaded.model.state_dict()
    assert all(
        torch.equal(after[name], tensor) and after[name].dtype == tensor.dtype for name, tensor in before.items()
    )
    assert all("forward" not in vars(module) for module in loaded.attention_modules)
