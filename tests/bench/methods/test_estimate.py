"""What is estimated from a configuration is what the engine's own tensors take."""

from itertools import repeat
from typing import Any

import pytest
from transformers import AutoConfig, DeepseekV2Config, Gemma2Config, LlamaConfig, MistralConfig

from lukv_bench import UserError
from lukv_bench.allocators.base import AllocationRequest
from lukv_bench.bench.engine.evict import evict
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.methods.budget import Budget, parse_budgets
from lukv_bench.bench.methods.estimate import cache_shape, estimate
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
    assert (shape.n_layers, shape.n_kv_heads, shape.head_dim) == (own.n_layers, own.n_kv_heads, own.head_dim)
    assert shape.max_positions == own.max_positions
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
        (Gemma2Config(), "sliding_attention"),
        (MistralConfig(sliding_window=4096), "slid"),
    ],
)
def test_models_whose_layers_do_not_keep_every_token_are_refused(config: Any, words: str) -> None:
    with pytest.raises(UserError, match=f"cannot be (estimated|built from its configuration): .*{words}"):
        cache_shape("m", config, "bfloat16")
