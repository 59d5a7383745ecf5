"""A library in the same process that wraps every attention function, as kvpress does when it is imported."""

from typing import Any

import pytest
from transformers import LlamaConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.scorers.keydiff import KeyDiff


def test_a_model_made_ready_afterwards_attends_by_ours(
    build: Any, sizes: dict[str, Any], some_ids: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = LlamaConfig(**sizes, hidden_size=48, num_attention_heads=6, num_key_value_heads=2, head_dim=20)
    prove_attention(build(config))  # the name is registered by now
    monkeypatch.setattr(ALL_ATTENTION_FUNCTIONS, "_local_mapping", {})

    def wrapped(function: Any) -> Any:
        def wrapper(module: Any, query: Any, key: Any, *rest: Any, **more: Any) -> Any:
            assert query.shape[2] >= key.shape[2] - query.shape[2]
            return function(module, query, key, *rest, **more)

        return wrapper

    for name, function in ALL_ATTENTION_FUNCTIONS.items():
        ALL_ATTENTION_FUNCTIONS[name] = wrapped(function)
    loaded = build(config)
    prove_attention(loaded)
    context = prefill(loaded, some_ids(40, 0), {"keydiff": KeyDiff()})
    assert context.table("keydiff").shape == (3, 1, 2, 40)
