"""Which models are served, and which are refused in one sentence instead of being served wrongly."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    GraniteConfig,
    Llama4TextConfig,
    MistralConfig,
    Qwen2Config,
    SmolLM3Config,
)

from lukv_bench import UserError
from lukv_bench.bench.engine.attention import NAME
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import prove_attention, refuse_sliding_window
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.models.shape import Unsupported

Build = Callable[..., LoadedModel]
HEADS = {"hidden_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}


def test_supported_models_are_switched_to_store_attention(tiny: Any) -> None:
    assert tiny.loaded.model.config._attn_implementation == NAME


def test_a_model_with_its_own_attention_scale_is_served(build: Build, sizes: dict[str, Any]) -> None:
    prove_attention(build(GraniteConfig(**sizes, **HEADS, attention_multiplier=0.7)))


def mistral(sizes: dict[str, Any], window: int | None) -> MistralConfig:
    return MistralConfig(**sizes, **HEADS, head_dim=10, sliding_window=window)


def qwen2(sizes: dict[str, Any], **more: Any) -> Qwen2Config:
    return Qwen2Config(**sizes, **HEADS, sliding_window=16, **more)


@torch.inference_mode()
def test_a_sequence_is_refused_from_the_first_token_that_a_sliding_window_hides(
    build: Build, sizes: dict[str, Any], some_ids: Callable[..., list[int]]
) -> None:
    windowed, whole = build(mistral(sizes, 16)), build(mistral(sizes, None))
    counts = {15: False, 16: False, 17: True, 60: True}
    for n_tokens, hidden in counts.items():
        ids = torch.tensor([some_ids(n_tokens, 0)])
        differ = float((windowed.model(ids).logits - whole.model(ids).logits).abs().max()) > 1e-3
        assert differ == hidden, "what this test takes for granted of transformers"
    windowed, whole = prove_attention(windowed), prove_attention(whole)
    for n_tokens, hidden in counts.items():
        refuse_sliding_window(whole, n_tokens)
        if hidden:
            with pytest.raises(UserError, match=rf"16 .*{n_tokens}"):
                refuse_sliding_window(windowed, n_tokens)
        else:
            refuse_sliding_window(windowed, n_tokens)


def test_a_window_that_no_layer_uses_is_no_reason_to_refuse(build: Build, sizes: dict[str, Any]) -> None:
    refuse_sliding_window(prove_attention(build(qwen2(sizes, use_sliding_window=False))), 500)
    refuse_sliding_window(prove_attention(build(qwen2(sizes, use_sliding_window=True, max_window_layers=3))), 500)


def test_layers_with_a_window_are_not_evicted_where_others_have_none(build: Build, sizes: dict[str, Any]) -> None:
    loaded = prove_attention(build(qwen2(sizes, use_sliding_window=True, max_window_layers=2)))
    assert (loaded.shape.evicted, loaded.shape.kept_whole, loaded.shape.n_layers) == ((0, 1), (2,), 2)
    assert [layer.window for layer in loaded.shape.layers] == [None, None, 16]
    refuse_sliding_window(loaded, 500)


def test_what_slides_is_told_by_the_mask_and_not_by_a_switch_beside_it(build: Build, sizes: dict[str, Any]) -> None:
    sliding = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 16}
    loaded = build(SmolLM3Config(**sizes, **HEADS, **sliding, use_sliding_window=False, pad_token_id=0))
    loaded = prove_attention(loaded)
    assert [layer.window for layer in loaded.shape.layers] == [16, None, 16]
    assert loaded.reach == 512


def test_a_chunk_is_a_window(build: Build, sizes: dict[str, Any]) -> None:
    config = Llama4TextConfig(
        **sizes,
        **HEADS,
        head_dim=12,
        attention_chunk_size=16,
        intermediate_size_mlp=64,
        num_local_experts=2,
        num_experts_per_tok=1,
        pad_token_id=0,
    )
    loaded = prove_attention(build(config))
    assert loaded.reach == 16
    with pytest.raises(UserError, match="of 16 tokens"):
        refuse_sliding_window(loaded, 17)


def test_a_pass_beyond_the_window_fails_even_where_nobody_asked_first(
    build: Build, sizes: dict[str, Any], some_ids: Callable[..., list[int]]
) -> None:
    loaded = prove_attention(build(mistral(sizes, 16)))
    prefill(loaded, some_ids(16, 1), {})
    with pytest.raises(Unsupported, match="hides some of 17 tokens"):
        prefill(loaded, some_ids(17, 1), {})


def test_a_windowed_model_is_served_as_long_as_the_window_hides_nothing(
    build: Build, sizes: dict[str, Any], some_ids: Callable[..., list[int]]
) -> None:
    windowed, whole = prove_attention(build(mistral(sizes, 16))), prove_attention(build(mistral(sizes, None)))
    ids = some_ids(16, 1)
    for ours, theirs in zip(prefill(windowed, ids, {}).keys, prefill(whole, ids, {}).keys, strict=True):
        assert torch.equal(ours, theirs)
