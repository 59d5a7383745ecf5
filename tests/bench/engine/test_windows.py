"""Models with layers that are not evicted: what they hold, how it is shared, and what the proof at load sees of it."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Gemma2Config, Gemma3TextConfig, GptOssConfig

from lukv_bench import UserError
from lukv_bench.bench.engine import attention, proof
from lukv_bench.bench.engine.cache import PrefillLayer, StoreLayer
from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.drafts import Drafts
from lukv_bench.bench.engine.evict import evict, keep_everything, share
from lukv_bench.bench.engine.layouts import RAGGED, SHARED
from lukv_bench.bench.engine.likelihood import empty_context, likelihood
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget
from lukv_bench.bench.methods.estimate import CacheShape, estimate
from lukv_bench.bench.methods.eviction import evict_alone
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.form import Form

Build = Callable[..., LoadedModel]
HEADS = {"hidden_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12}
TYPES = ["sliding_attention", "full_attention", "sliding_attention"]
WINDOW = 9
CONTEXT, QUESTION, ANSWER = 30, 4, 12


def gemma2(sizes: dict[str, Any], window: int = WINDOW) -> Gemma2Config:
    scaled = {"query_pre_attn_scalar": 12, "attn_logit_softcapping": 5.0, "final_logit_softcapping": None}
    return Gemma2Config(**sizes, **HEADS, **scaled, layer_types=TYPES, sliding_window=window)


def gemma3(sizes: dict[str, Any], window: int = WINDOW) -> Gemma3TextConfig:
    return Gemma3TextConfig(**sizes, **HEADS, query_pre_attn_scalar=12, layer_types=TYPES, sliding_window=window)


def gpt_oss(sizes: dict[str, Any], window: int = WINDOW) -> GptOssConfig:
    experts = {"num_local_experts": 2, "num_experts_per_tok": 1, "rope_parameters": {"rope_type": "default"}}
    return GptOssConfig(**sizes, **HEADS, **experts, layer_types=TYPES, sliding_window=window)


KINDS = [gemma2, gemma3, gpt_oss]


@pytest.fixture(scope="module", params=KINDS)
def windowed(request: pytest.FixtureRequest, build: Build, sizes: dict[str, Any]) -> tuple[LoadedModel, Any]:
    """A model as the engine runs it, and the same weights under transformers' own attention."""
    loaded = build(request.param(sizes), "eager")
    plain = copy.deepcopy(loaded.model)
    return prove_attention(loaded), plain


def greedy(plain: Any, ids: list[int], n: int) -> list[int]:
    asked = torch.tensor([ids])
    out = plain.generate(asked, attention_mask=torch.ones_like(asked), max_new_tokens=n, do_sample=False)
    return out[0, len(ids) :].tolist()


def test_an_answer_far_beyond_the_window_is_what_generate_gives(
    windowed: tuple[LoadedModel, Any], some_ids: Callable[[int, int], list[int]]
) -> None:
    """With drafts and without, in a batch of questions of several lengths."""
    loaded, plain = windowed
    context, questions = some_ids(CONTEXT, 1), [some_ids(n, n) for n in (QUESTION, 1, 12)]
    wanted = [greedy(plain, context + question, ANSWER) for question in questions]
    read, stop = prefill(loaded, context, {}, n_sequence=CONTEXT + 12 + ANSWER), Stop(ANSWER, frozenset())
    for drafts in (None, _knowing(wanted[0])):
        rows = decode(loaded, share(read, 3, 4), questions, stop, drafts=drafts).rows
        assert [row.ids for row in rows] == wanted


def _knowing(answer: list[int]) -> Drafts:
    drafts = Drafts()
    drafts.add([*answer[:-3], 1, 2, 3])
    return drafts


def test_configurations_give_one_answer_in_every_layout_and_twice(
    windowed: tuple[LoadedModel, Any],
    some_ids: Callable[[int, int], list[int]],
    kept_at_random: Callable[..., list[Any]],
) -> None:
    loaded, _ = windowed
    question, stop = some_ids(QUESTION, 7), Stop(ANSWER, frozenset())
    read = prefill(loaded, some_ids(CONTEXT, 3), {}, n_sequence=CONTEXT + QUESTION + ANSWER)
    kept = [kept_at_random(loaded.shape, CONTEXT, 1, seed) for seed in range(2)]
    alone = [decode(loaded, evict(read, one, 4), [question], stop).rows[0].ids for one in kept]
    for layout in (RAGGED, SHARED):
        cache = layout.build(read, kept, 4)
        assert [row.ids for row in decode(loaded, cache, [question] * 2, stop, drafts=Drafts()).rows] == alone
    again = evict(read, kept[0], 4)
    for _ in range(2):
        assert decode(loaded, again, [question], stop).rows[0].ids == alone[0]
        again.take_all_back()


@torch.inference_mode()
def test_a_window_holds_the_bytes_that_transformers_own_cache_holds(
    windowed: tuple[LoadedModel, Any], some_ids: Callable[[int, int], list[int]]
) -> None:
    loaded, plain = windowed
    for n_tokens in (3, WINDOW - 1, WINDOW, CONTEXT):
        ids = some_ids(n_tokens, 5)
        own = plain(torch.tensor([ids]), use_cache=True).past_key_values.layers
        n_bytes = sum(layer.keys.nbytes + layer.values.nbytes for layer in own)
        read = prefill(loaded, ids, {})
        cache = evict(read, keep_everything(read), 8)
        assert read.kv_bytes == n_bytes == sum(cache.kv_bytes_by_row())
        estimated = estimate(CacheShape(loaded.shape, 4), n_tokens, Budget(), None)
        assert estimated.kv_bytes_full == n_bytes


def test_an_eviction_counts_the_layers_that_are_evicted_and_says_which(
    windowed: tuple[LoadedModel, Any], some_ids: Callable[[int, int], list[int]]
) -> None:
    loaded, _ = windowed
    (method,) = build_methods(["adakv"], ["keydiff"], [Budget(keep_tokens=10)], 2, 2, baselines=False)
    evicted = evict_alone(loaded, some_ids(CONTEXT, 4), method, 0, CONTEXT + 8)
    assert sum(map(sum, evicted.selection.keep_counts)) == 10 * 2
    windows = 2 * (WINDOW - 1) * 2 * 2 * 12 * 4
    said = {"event": "some_layers_evicted", "layers": [1], "n_layers": 3, "window_kv_bytes": windows}
    assert evicted.selection.events == (said,)
    assert evicted.cache.kv_bytes_by_row() == [10 * 2 * 2 * 12 * 4 + windows]
    assert evicted.full.kv_bytes == CONTEXT * 2 * 2 * 12 * 4 + windows


@torch.inference_mode()
def test_a_text_without_a_context_is_scored_as_in_one_pass(
    windowed: tuple[LoadedModel, Any], some_ids: Callable[[int, int], list[int]]
) -> None:
    loaded, plain = windowed
    ids = some_ids(CONTEXT, 9)
    empty = empty_context(loaded, CONTEXT)
    scored = likelihood(loaded, evict(empty, keep_everything(empty), CONTEXT), ids[:-1], ids[1:])
    wanted = plain(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    assert scored.logprob == pytest.approx(float(wanted[:-1].gather(1, torch.tensor(ids[1:]).unsqueeze(1)).sum()), 1e-4)


@pytest.mark.parametrize("window", [WINDOW, 100])
@pytest.mark.parametrize("layer", [PrefillLayer, StoreLayer])
@pytest.mark.parametrize("more", [-1, 1])
def test_a_window_that_is_one_token_off_is_refused(
    build: Build, sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch, layer: Any, more: int, window: int
) -> None:
    """Also where the window is longer than the text: it is made shorter for the proof."""
    attend = layer.attend

    def wrong(self: Any, module: Any, query: Tensor, form: Form) -> Tensor:
        return attend(self, module, query, replace(form, window=form.window and form.window + more))

    loaded = build(gemma3(sizes, window))
    monkeypatch.setattr(layer, "attend", wrong)
    with pytest.raises(UserError, match="attention in layer 0 differs"):
        prove_attention(loaded)


def test_the_proof_leaves_the_window_as_it_was(build: Build, sizes: dict[str, Any]) -> None:
    loaded = prove_attention(build(gemma3(sizes, 100)))
    assert loaded.model.config.sliding_window == 100
    assert [layer.window for layer in loaded.shape.layers] == [100, None, 100]


def test_where_a_window_cannot_be_made_shorter_the_text_is_longer(
    build: Build, sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    compare = proof._compare

    def counted(loaded: LoadedModel, own: Any, n_tokens: int) -> None:
        lengths.append(n_tokens)
        compare(loaded, own, n_tokens)

    monkeypatch.setattr(proof, "narrowed", lambda *_: nullcontext())
    monkeypatch.setattr(proof, "_compare", counted)
    prove_attention(build(gemma3(sizes, 100)))
    assert lengths == [124]


def test_lost_sinks_are_refused(build: Build, sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    own = attention._attend

    def deaf(*args: Any, s_aux: Tensor | None = None, **more: Any) -> Any:
        return own(*args, **more)

    monkeypatch.setattr(attention, "_attend", deaf)
    with pytest.raises(UserError, match="attention in layer 0 differs"):
        prove_attention(build(gpt_oss(sizes), "eager"))


@pytest.mark.parametrize("dtype", ["bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_served(build: Build, sizes: dict[str, Any], kind: Any, dtype: str) -> None:
    loaded = build(kind(sizes), "eager")
    loaded.model.to(getattr(torch, dtype))
    assert prove_attention(replace(loaded, dtype=dtype)).shape.evicted == (1,)
