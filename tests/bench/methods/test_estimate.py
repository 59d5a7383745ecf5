"""What is estimated from a configuration is what the engine's own tensors take."""

from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    DeepseekV2Config,
    Gemma2Config,
    Gemma4TextConfig,
    Llama4TextConfig,
    LlamaConfig,
    Mamba2Config,
    MistralConfig,
    Qwen3NextConfig,
)

from lukv_bench import UserError
from lukv_bench.allocators.base import AllocationRequest
from lukv_bench.bench.engine.evict import evict
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.methods.budget import Budget, parse_budgets
from lukv_bench.bench.methods.estimate import cache_shape, estimate
from lukv_bench.bench.methods.eviction import evict_alone
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.models.aliases import SMOLLM2_135M
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.plugins.registry import build
from lukv_bench.kernels.select import select
from lukv_bench.scorers.base import Protection

PROTECTED = Protection(4, 1)


@pytest.mark.parametrize(("ratio", "n_tokens"), [("0.8", 200), ("0.5", 131)])
def test_the_default_models_numbers_are_the_engines_own(smollm2: LoadedModel, ratio: str, n_tokens: int) -> None:
    config = AutoConfig.for_model(**SMOLLM2_135M.config)
    shape = cache_shape("smollm2-135m", config, "float32")
    (budget,) = parse_budgets([ratio], [])
    made = estimate(shape, n_tokens, budget, None)
    context = prefill(smollm2, [1000 + i for i in range(n_tokens)], {"keydiff": build("scorer", "keydiff").instance})
    own = smollm2.shape
    assert shape.model == own
    assert shape.weight_bytes == sum(weight.numel() * 4 for weight in smollm2.model.parameters())
    assert made.kv_bytes_full == context.kv_bytes
    request = AllocationRequest(
        tuple(range(own.n_layers)),
        own.n_layers,
        1,
        own.n_kv_heads,
        n_tokens,
        own.n_layers * own.n_kv_heads * budget.per_head(n_tokens),
        PROTECTED.mask(n_tokens),
    )
    counts = build("allocator", "uniform").instance.allocate(request)
    kept = list(map(select, context.table("keydiff"), counts, repeat(PROTECTED.mask(n_tokens))))
    assert made.kv_bytes_kept == sum(evict(context, kept, 8).kv_bytes_by_row())


def tiny(**more: Any) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=100, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, **more
    )


def test_a_batch_leaves_room_for_one_cache_that_is_not_evicted_yet() -> None:
    shape = cache_shape("m", tiny(num_key_value_heads=2), "bfloat16")
    assert shape.kv_bytes_per_token == 2 * 2 * 2 * 16 * 2
    budget = Budget(keep_tokens=100)
    full, kept = 1000 * shape.kv_bytes_per_token, 100 * shape.kv_bytes_per_token
    for memory, batches in (
        (shape.weight_bytes + full - 1, (0, 0)),
        (shape.weight_bytes + full, (1, 1)),
        (shape.weight_bytes + full + kept, (1, 2)),
        (shape.weight_bytes + 3 * full, (3, 21)),
        (10, (0, 0)),
    ):
        made = estimate(shape, 1000, budget, memory)
        assert (made.batch_full, made.batch_kept) == batches


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (DeepseekV2Config(), "compressed"),
        (Llama4TextConfig(), "chunks"),
        (MistralConfig(sliding_window=4096), "slid"),
        (Mamba2Config(), "cache of keys and values"),
    ],
)
def test_models_of_which_no_layer_or_other_than_keys_and_values_would_be_evicted_are_refused(
    config: Any, words: str
) -> None:
    with pytest.raises(UserError, match=f"cannot be (estimated|served|built from its configuration): .*({words})"):
        cache_shape("m", config, "bfloat16")


def test_the_windows_of_layers_that_are_not_evicted_are_counted_whole() -> None:
    """Written out for Gemma 2 2B: 26 layers, every other one with a window of 4096 tokens, 4 KV heads of 256."""
    shape = cache_shape("m", Gemma2Config(), "bfloat16")
    assert shape.model.evicted == tuple(range(1, 26, 2))
    half = Budget(keep_tokens=4000)
    windows = 13 * 4095 * 2 * 4 * 256 * 2
    made = estimate(shape, 8000, half, None)
    assert made.kv_bytes_full == 13 * 8000 * 2 * 4 * 256 * 2 + windows
    assert made.kv_bytes_kept == 13 * 4000 * 2 * 4 * 256 * 2 + windows


def test_layers_of_other_sizes_are_counted_as_they_are() -> None:
    types = ["sliding_attention", "full_attention"]
    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = Gemma4TextConfig(**small, head_dim=8, global_head_dim=24, layer_types=types, sliding_window=10)
    made = estimate(cache_shape("m", config, "float32"), 50, Budget(), None)
    assert made.kv_bytes_full == 2 * 2 * 4 * (9 * 8 + 50 * 24)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("model_type", ["qwen3_next", "falcon_h1", "lfm2", "zaya"])
def test_recurrent_states_are_counted_as_a_run_measures_them(
    script: Callable[[str], Any], tmp_path: Path, model_type: str, dtype: str
) -> None:
    """Linear attention, a state space beside attention, short convolutions, and states of another dtype than the keys;
    from config.json alone against the tensors of an eviction."""
    n_tokens, budget = 30, Budget(keep_tokens=11)
    script("tiny_architectures").save_tiny(model_type, tmp_path)
    shape = cache_shape("m", AutoConfig.from_pretrained(tmp_path), dtype)
    made = estimate(shape, n_tokens, budget, None)
    loaded = ready_model(str(tmp_path), torch.device("cpu"), dtype)
    (method,) = build_methods(["uniform"], ["keydiff"], [budget], 2, 2, baselines=False)
    evicted = evict_alone(loaded, range(3, 3 + n_tokens), method, 0, n_tokens + 8)
    assert made.kv_bytes_full == evicted.full.kv_bytes
    assert [made.kv_bytes_kept] == evicted.cache.kv_bytes_by_row()
    (said,) = (event for event in evicted.selection.events if event["event"] == "recurrent_states")
    assert said["state_bytes"] == shape.model.state_bytes > 0
    assert shape.model == loaded.shape
    assert shape.weight_bytes == sum(weight.nbytes for weight in loaded.model.parameters())


def test_a_hybrid_too_large_for_this_machine_is_estimated() -> None:
    """Written out for Qwen3-Next 80B: 36 of 48 layers have linear attention, whose state is float32 whatever the dtype
    of the weights: 32 heads of 128 x 128, beside the last 4 inputs of a convolution over 8192 channels."""
    shape = cache_shape("m", Qwen3NextConfig(), "bfloat16")
    assert shape.model.n_layers == 12
    assert shape.model.state_bytes == 36 * (32 * 128 * 128 * 4 + 8192 * 4 * 2)
    assert shape.weight_bytes > 150e9
