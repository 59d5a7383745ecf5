"""What a scorer is shown besides keys, values and queries, against the model's own modules."""

import copy
import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from transformers import CohereConfig, LlamaConfig, Olmo2Config, Phi3Config

from lukv_bench.bench.engine.attention import use_store_attention
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.scorers.base import LayerView, Protection, Reads

from .looking import Looking

N_TOKENS = 41
HEADS: dict[str, int] = {"hidden_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}


def look(loaded: Any, reads: Reads, ids: list[int], **more: Any) -> list[LayerView]:
    scorer = Looking(reads)
    prefill(loaded, ids, {"looking": scorer}, **more).table("looking")
    return scorer.views


@torch.inference_mode()
def before_rotary(plain: Any, ids: list[int]) -> list[Tensor]:
    """Per layer the output of the last module that the queries pass, as the model calls it, [1, HQ, T, D]."""
    seen: dict[int, Tensor] = {}
    hooks = []
    for index, layer in enumerate(plain.model.layers):
        attention = layer.self_attn
        last = getattr(attention, "q_norm", None) or getattr(attention, "q_proj", None) or attention.qkv_proj

        def keep(_module: Any, _args: Any, out: Tensor, index: int = index, dim: int = attention.head_dim) -> None:
            flat = out.reshape(1, len(ids), -1)[..., : plain.config.num_attention_heads * dim]
            seen[index] = flat.view(1, len(ids), -1, dim).transpose(1, 2)

        hooks.append(last.register_forward_hook(keep))
    plain(torch.tensor([ids]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return [seen[index] for index in sorted(seen)]


def test_queries_before_rotary_are_those_of_the_models_own_modules(
    tiny: Any, some_ids: Callable[..., list[int]]
) -> None:
    ids = some_ids(N_TOKENS, 0)
    expected = before_rotary(tiny.plain, ids)
    views = look(tiny.loaded, Reads(queries_before_rotary=True), ids)
    for view, queries in zip(views, expected, strict=True):
        torch.testing.assert_close(view.queries_before_rotary, queries, atol=1e-4, rtol=1e-4)
        assert view.rotary is None


@pytest.mark.parametrize(
    "config",
    [
        lambda sizes: Olmo2Config(**sizes, **HEADS),
        lambda sizes: Phi3Config(**sizes, **HEADS, pad_token_id=0, eos_token_id=None, bos_token_id=None),
    ],
    ids=["norm-over-all-heads", "one-matrix-for-q-k-v"],
)
def test_other_places_of_the_queries_are_known(
    build: Callable[..., Any], sizes: dict[str, Any], some_ids: Callable[..., list[int]], config: Any
) -> None:
    loaded = build(config(sizes))
    plain = copy.deepcopy(loaded.model)
    prove_attention(loaded)
    ids = some_ids(N_TOKENS, 0)
    views = look(loaded, Reads(queries_before_rotary=True), ids)
    for view, queries in zip(views, before_rotary(plain, ids), strict=True):
        torch.testing.assert_close(view.queries_before_rotary, queries, atol=1e-4, rtol=1e-4)


def test_queries_that_cannot_be_told_fail_the_scorer_alone(
    build: Callable[..., Any], sizes: dict[str, Any], some_ids: Callable[..., list[int]]
) -> None:
    """Cohere rotates neighbouring dims together: halves rotated together would be another query, silently."""
    loaded = build(CohereConfig(**sizes, **HEADS))
    prove_attention(loaded)
    scorers = {"wants": Looking(Reads(queries_before_rotary=True)), "keys": Looking(Reads())}
    context = prefill(loaded, some_ids(N_TOKENS, 0), scorers)
    assert set(context.scores) == {"keys"}
    with pytest.raises(Exception, match=r"queries of cohere before the rotary embedding cannot be told"):
        context.table("wants")


def test_the_rotary_embedding_is_the_models_at_any_position(tiny: Any, some_ids: Callable[..., list[int]]) -> None:
    views = look(tiny.loaded, Reads(rotary=True, queries="all", queries_before_rotary=True), some_ids(N_TOKENS, 1))
    positions = torch.tensor([0, 3, N_TOKENS, 400])
    dim = tiny.loaded.shape.head_dim
    for view in views:
        assert view.rotary is not None
        assert view.queries is not None
        assert view.queries_before_rotary is not None
        cos, sin = view.rotary(positions)
        wanted = tiny.plain.model.rotary_emb(torch.zeros(1), positions[None])
        assert cos.shape == sin.shape == (4, dim)
        assert torch.equal(cos, wanted[0][0])
        assert torch.equal(sin, wanted[1][0])
        cos, sin = view.rotary(torch.arange(N_TOKENS))
        for i in range(dim // 2):  # two dims at a time, by the angle
            x, y = view.queries_before_rotary[..., i], view.queries_before_rotary[..., dim // 2 + i]
            turned = x * cos[:, i] - y * sin[:, i], y * cos[:, i] + x * sin[:, i]
            torch.testing.assert_close(view.queries[..., i], turned[0], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(view.queries[..., dim // 2 + i], turned[1], atol=1e-4, rtol=1e-4)


def test_asking_for_far_positions_leaves_the_models_own_embedding_alone(
    build: Callable[..., Any], sizes: dict[str, Any], some_ids: Callable[..., list[int]]
) -> None:
    """A dynamic embedding rescales itself when it meets a position behind its window."""

    @dataclass(frozen=True)
    class Far(Looking):
        def score(self, layer: LayerView) -> Tensor:
            assert layer.rotary is not None
            layer.rotary(torch.arange(2000))
            return super().score(layer)

    rope = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
    loaded = build(LlamaConfig(**sizes, **HEADS, rope_parameters=rope))
    prove_attention(loaded)
    ids, before = some_ids(N_TOKENS, 2), loaded.model.model.rotary_emb.inv_freq.clone()
    near = prefill(loaded, ids, {}).keys
    far = prefill(loaded, ids, {"far": Far(Reads(rotary=True))})
    assert not far.failures
    assert torch.equal(loaded.model.model.rotary_emb.inv_freq, before)
    for one, other in zip(near, far.keys, strict=True):
        assert torch.equal(one, other)


@torch.inference_mode()
def test_the_output_weight_is_the_output_projection_head_by_head(tiny: Any, some_ids: Callable[..., list[int]]) -> None:
    shape = tiny.loaded.shape
    for view in look(tiny.loaded, Reads(output_weight=True), some_ids(9, 3)):
        weight = view.output_weight
        assert weight is not None
        assert weight.shape == (shape.n_query_heads, shape.head_dim, 84 if "qwen2" in tiny.loaded.name else 48)
        heads = torch.randn(5, shape.n_query_heads, shape.head_dim, generator=torch.Generator().manual_seed(0))
        projection = tiny.plain.model.layers[view.layer].self_attn.o_proj
        expected = projection(heads.flatten(1)) - projection(torch.zeros(1, heads[0].numel()))
        torch.testing.assert_close(torch.einsum("nhd,hdo->no", heads, weight), expected, atol=1e-4, rtol=1e-4)


def test_the_module_comes_with_what_its_forward_was_given(tiny: Any, some_ids: Callable[..., list[int]]) -> None:
    views = look(tiny.loaded, Reads(module=True, hidden_states=True), some_ids(9, 4))
    for view, module in zip(views, tiny.loaded.attention_modules, strict=True):
        assert view.module is module
        assert view.kwargs is not None
        assert torch.equal(view.kwargs["hidden_states"], view.hidden_states)
        cos, sin = view.kwargs["position_embeddings"]
        assert cos.shape == sin.shape == (1, 9, tiny.loaded.shape.head_dim)
        assert view.scaling == module.scaling


def test_nothing_undeclared_is_shown(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    for view in look(llama.loaded, Reads(), some_ids(9, 5), n_kept={"looking": 3}):
        undeclared = (view.queries, view.hidden_states, view.queries_before_rotary, view.rotary, view.output_weight)
        assert undeclared == (None,) * 5
        assert (view.n_kept, view.module, view.kwargs) == (None,) * 3


def test_a_budget_is_shown_to_the_table_it_belongs_to(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    scorers = {name: Looking(Reads(budget=True)) for name in ("a @ 0.5", "a @ 0.8", "a @ ?")}
    context = prefill(llama.loaded, some_ids(20, 6), scorers, n_kept={"a @ 0.5": 10, "a @ 0.8": 4})
    assert [view.n_kept for view in scorers["a @ 0.5"].views] == [10] * 3
    assert [view.n_kept for view in scorers["a @ 0.8"].views] == [4] * 3
    with pytest.raises(Exception, match="reads the budget, and none was given"):
        context.table("a @ ?")


def test_the_seed_follows_from_the_runs_seed_and_the_context(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    def seeds(ids: list[int], seed: int) -> set[int]:
        return {view.seed for view in look(llama.loaded, Reads(), ids, seed=seed)}

    one, other = some_ids(9, 7), some_ids(9, 8)
    assert len(seeds(one, 0)) == 1
    assert seeds(one, 0) == seeds(one, 0)
    assert len(seeds(one, 0) | seeds(one, 1) | seeds(other, 0) | seeds(other, 1)) == 4
    assert all(0 <= seed < 2**63 for seed in seeds(one, 0))


@pytest.mark.usefixtures("new_objects_alone")
def test_what_was_shown_does_not_outlive_its_layer(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    alive: list[int] = []
    shown: list[Any] = []

    @dataclass(frozen=True)
    class Counting:
        source: ClassVar[str] = "tests"
        reads: ClassVar[Reads] = Reads(queries="all", hidden_states=True, queries_before_rotary=True)
        protection: ClassVar[Protection] = Protection(0, 0)

        def score(self, layer: LayerView) -> Tensor:
            gc.collect()
            alive.append(sum(ref() is not None for ref in shown))
            shown.extend(map(weakref.ref, (layer.hidden_states, layer.queries, layer.queries_before_rotary)))
            return layer.keys[..., 0].float()

    prefill(llama.loaded, some_ids(9, 9), {"counting": Counting()})
    assert alive == [0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["fp16", "bf16"])
def test_half_precision_queries_are_recognised(
    build: Callable[..., Any], sizes: dict[str, Any], some_ids: Callable[..., list[int]], dtype: torch.dtype
) -> None:
    loaded = build(LlamaConfig(**sizes, **HEADS))
    loaded.model.to(dtype)
    plain, ids = copy.deepcopy(loaded.model), some_ids(N_TOKENS, 10)
    use_store_attention(loaded.model)
    view = look(loaded, Reads(queries_before_rotary=True, rotary=True), ids)[0]
    assert view.queries_before_rotary is not None
    assert view.queries_before_rotary.dtype == dtype
    assert torch.equal(view.queries_before_rotary, before_rotary(plain, ids)[0])
    assert view.rotary is not None
    assert view.rotary(torch.arange(3))[0].dtype == torch.float32
