"""What a scorer reads and a model does not have is refused before anything else is done; what can be shown is shown."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    Cohere2Config,
    CohereConfig,
    Ernie4_5Config,
    Exaone4Config,
    Gemma3TextConfig,
    Glm4Config,
    GlmConfig,
    HeliumConfig,
    HunYuanDenseV1Config,
    NanoChatConfig,
    Olmo3Config,
    SmolLM3Config,
)

from lukv_bench import UserError
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.reads import check_reads
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.scorers.base import LayerView, Reads
from lukv_bench.scorers.critical import Critical
from lukv_bench.scorers.expected_attention import ExpectedAttention
from lukv_bench.scorers.keydiff import KeyDiff
from lukv_bench.scorers.rotary import rotate

Build = Callable[..., Any]
HEADS: dict[str, Any] = {"hidden_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12}
NO_TOKENS = {"pad_token_id": 0, "eos_token_id": None, "bos_token_id": None}
TYPES = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 500}
ROPES = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
}
SERVED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "gemma3": lambda sizes: Gemma3TextConfig(**sizes, **HEADS, **NO_TOKENS, **TYPES, rope_parameters=ROPES),
    "olmo3": lambda sizes: Olmo3Config(**sizes, **HEADS, **NO_TOKENS, **TYPES, rope_parameters=ROPES),
    "smollm3": lambda sizes: SmolLM3Config(**sizes, **HEADS, **NO_TOKENS, no_rope_layers=[1, 0, 1]),
    "exaone4": lambda sizes: Exaone4Config(**sizes, **HEADS, **NO_TOKENS, **TYPES),
}
REFUSED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "cohere": lambda sizes: CohereConfig(**sizes, **HEADS, **NO_TOKENS),
    "cohere2": lambda sizes: Cohere2Config(**sizes, **HEADS, **NO_TOKENS, **TYPES),
    "ernie4_5": lambda sizes: Ernie4_5Config(**sizes, **HEADS, **NO_TOKENS),
    "glm": lambda sizes: GlmConfig(**sizes, **HEADS, **NO_TOKENS),
    "glm4": lambda sizes: Glm4Config(**sizes, **HEADS, **NO_TOKENS),
    "helium": lambda sizes: HeliumConfig(**sizes, **HEADS, **NO_TOKENS),
    "hunyuan_v1_dense": lambda sizes: HunYuanDenseV1Config(**sizes, **HEADS, **NO_TOKENS),
    "nanochat": lambda sizes: NanoChatConfig(**sizes, **HEADS, **NO_TOKENS),
}


def ready(build: Build, config: Any) -> Any:
    loaded = build(config)
    prove_attention(loaded)
    return loaded


@pytest.mark.parametrize("name", SERVED)
def test_queries_turned_by_the_rotary_embedding_of_their_layer_are_those_that_attended(
    build: Build, sizes: dict[str, Any], some_ids: Callable[..., list[int]], name: str
) -> None:
    """Rotary by layer type, and layers without one."""
    loaded = ready(build, SERVED[name](sizes))
    views: list[LayerView] = []

    class Turned(ExpectedAttention):
        reads = Reads(queries="all", queries_before_rotary=True, rotary=True)  # type: ignore[misc]  # more than its own

        def score(self, layer: LayerView) -> torch.Tensor:
            views.append(layer)
            return super().score(layer)

    check_reads(loaded, {"turned": Turned.reads})
    context = prefill(loaded, some_ids(40, 0), {"turned": Turned()})
    assert not context.failures
    turns = []
    for view in views:
        assert view.rotary is not None
        assert view.queries is not None
        assert view.queries_before_rotary is not None
        cos, sin = view.rotary(torch.arange(40))
        turned = rotate(view.queries_before_rotary, cos, sin)
        torch.testing.assert_close(turned, view.queries, atol=1e-4, rtol=1e-4)
        turns.append(sin[1])
    assert not torch.equal(turns[0], turns[1]), "the layers are of two kinds"
    assert torch.equal(turns[0], turns[2])


@pytest.mark.parametrize("name", REFUSED)
def test_another_rotation_is_refused_in_one_sentence_and_other_scorers_are_not(
    build: Build, sizes: dict[str, Any], name: str
) -> None:
    loaded = ready(build, REFUSED[name](sizes))
    with pytest.raises(UserError, match=f"the scorer expected_attention .* tiny.* {name} ") as refused:
        check_reads(loaded, {"keydiff": KeyDiff.reads, "expected_attention": ExpectedAttention.reads})
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300
    check_reads(loaded, {"keydiff": KeyDiff.reads, "critical": Critical(KeyDiff()).reads})


def test_an_output_projection_that_is_no_matrix_is_refused(build: Build, sizes: dict[str, Any]) -> None:
    """As Moshi's, which wraps its own."""

    class Wrapped(torch.nn.Module):
        def __init__(self, linear: Any) -> None:
            super().__init__()
            self.linear = linear

        def forward(self, x: torch.Tensor) -> Any:
            return self.linear(x)

    loaded = build(SERVED["smollm3"](sizes))
    for module in loaded.attention_modules:
        module.o_proj = Wrapped(module.o_proj)
    prove_attention(loaded)
    with pytest.raises(UserError, match=r"critical:of=keydiff .* output projection of smollm3 is not one matrix"):
        check_reads(loaded, {"critical:of=keydiff": Critical(KeyDiff()).reads})
    check_reads(loaded, {"expected_attention": ExpectedAttention.reads})


def test_a_scorer_that_reads_the_cache_alone_costs_no_pass(llama: Any) -> None:
    loaded = copy.copy(llama.loaded)
    object.__setattr__(loaded, "model", None)
    check_reads(loaded, {"keydiff": KeyDiff.reads, "snapkv": Reads(queries=32), "budget": Reads(budget=True)})
