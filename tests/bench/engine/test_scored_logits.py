"""Scorers of attention weights rank by those that the model's own attention computes, softcap and sinks included."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import Gemma2Config, GptOssConfig

from lukv_bench.bench.engine.blocks import BlockPrefill, read_blocks
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import prove_attention, ready_model
from lukv_bench.bench.engine.trimming import Trim
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.scorers.base import LayerView, Protection, Reads, Scorer
from lukv_bench.scorers.h2o import H2O
from lukv_bench.scorers.snapkv import SnapKV
from lukv_bench.scorers.tova import TOVA

from .looking import Looking

N_TOKENS, EVICTED = 45, 1
HEADS = {"hidden_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12}
TYPES = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 9}
SCORERS: dict[str, Scorer] = {"snapkv": SnapKV(window=6, kernel=3), "tova": TOVA(), "h2o": H2O()}


def gemma2(sizes: dict[str, Any]) -> Gemma2Config:
    return Gemma2Config(**sizes, **HEADS, **TYPES, query_pre_attn_scalar=12, attn_logit_softcapping=2.0)


def gpt_oss(sizes: dict[str, Any]) -> GptOssConfig:
    experts = {"num_local_experts": 2, "num_experts_per_tok": 1, "rope_parameters": {"rope_type": "default"}}
    return GptOssConfig(**sizes, **HEADS, **TYPES, **experts)


@pytest.fixture(scope="module", params=[gemma2, gpt_oss])
def pair(request: pytest.FixtureRequest, build: Callable[..., Any], sizes: dict[str, Any]) -> tuple[LoadedModel, Any]:
    """A model as the engine runs it, and the same weights under transformers' eager attention."""
    loaded = build(request.param(sizes), "eager")
    for module in loaded.attention_modules:
        if hasattr(module, "sinks"):
            module.sinks.data += 8  # enough to take most of each softmax
    plain = copy.deepcopy(loaded.model)
    return prove_attention(loaded), plain


@torch.inference_mode()
def own_weights(plain: Any, ids: list[int]) -> Tensor:
    """[HQ, T, T] of the evicted layer, as transformers returns them."""
    weights: Tensor = plain(torch.tensor([ids]), output_attentions=True, use_cache=False).attentions[EVICTED][0]
    return weights


def by_name(weights: Tensor) -> dict[str, Tensor]:
    """Each score [H, T] worked out from the weights [HQ, T, T]; those of tokens that are kept at any rate are NaN."""
    grouped, nan = weights.view(2, 2, N_TOKENS, N_TOKENS), float("nan")
    votes = grouped[:, :, -6:, :-6].mean(dim=2)
    snapkv = functional.max_pool1d(votes, 3, stride=1, padding=1).mean(dim=1)
    seen = torch.arange(N_TOKENS, 0, -1)
    return {
        "snapkv": functional.pad(snapkv, (0, 6), value=nan),
        "tova": functional.pad(weights[:, -1, :-1].mean(dim=0).expand(2, -1), (0, 1), value=nan),
        "h2o": grouped.mean(dim=1).sum(dim=1) / seen,
    }


def test_they_rank_by_the_weights_that_transformers_returns(
    pair: tuple[LoadedModel, Any], some_ids: Callable[[int, int], list[int]]
) -> None:
    loaded, plain = pair
    ids = some_ids(N_TOKENS, 1)
    context, expected = prefill(loaded, ids, SCORERS), by_name(own_weights(plain, ids))
    for name, scores in expected.items():
        got, at = context.table(name)[0, 0], ~scores.isnan()
        torch.testing.assert_close(got[at], scores[at], atol=2e-6, rtol=2e-5)


def test_without_softcap_and_sinks_the_weights_would_be_others(
    pair: tuple[LoadedModel, Any], some_ids: Callable[[int, int], list[int]]
) -> None:
    """So that the test above is about them."""
    loaded, plain = pair
    ids = some_ids(N_TOKENS, 1)
    view = look(loaded, ids, Reads(queries="all"))[0]
    bare = replace(view, softcap=None, sinks=None)
    for name, scores in by_name(own_weights(plain, ids)).items():
        at = ~scores.isnan()
        assert not torch.allclose(SCORERS[name].score(bare)[0][at], scores[at], atol=1e-3, rtol=1e-2)


def look(loaded: LoadedModel, ids: list[int], reads: Reads) -> list[LayerView]:
    scorer = Looking(reads)
    prefill(loaded, ids, {"looking": scorer}).table("looking")
    return scorer.views


def test_a_head_that_is_trimmed_alone_comes_with_its_own_sinks(
    pair: tuple[LoadedModel, Any], some_ids: Callable[[int, int], list[int]]
) -> None:
    """Under a block schedule whose heads keep different numbers."""
    loaded, _ = pair
    scorer = Looking(Reads(queries=1))
    trim = Trim(scorer, lambda: torch.tensor([[[8, 12]]]), Protection(0, 1), 10)
    read_blocks(BlockPrefill(loaded, tuple(some_ids(N_TOKENS, 2)), N_TOKENS, 16, trim))
    module = loaded.attention_modules[EVICTED]
    sinks: Tensor | None = getattr(module, "sinks", None)
    assert [view.keys.shape[1] for view in scorer.views] == [1] * 6
    for number, view in enumerate(scorer.views):
        head = number % 2
        assert view.queries is not None
        if sinks is None:
            assert view.sinks is None
            assert view.softcap == 2.0
        else:
            assert view.sinks is not None
            assert torch.equal(view.sinks, sinks[2 * head : 2 * head + 2])
        assert TOVA().score(view).isfinite().all()


def test_what_scorers_know_of_the_logits_is_known_of_the_model(pair: tuple[LoadedModel, Any], llama: Any) -> None:
    loaded, _ = pair
    expected = ("sinks",) if hasattr(loaded.attention_modules[EVICTED], "sinks") else ("softcap",)
    assert loaded.scored_logits(Reads(queries=1)) == loaded.scored_logits(Reads(queries="all")) == expected
    assert loaded.scored_logits(Reads(hidden_states=True)) == ()
    assert llama.loaded.scored_logits(Reads(queries=1)) == ()


def test_a_scorer_that_writes_into_the_sinks_is_caught(
    script: Callable[[str], Any], some_ids: Callable[[int, int], list[int]], tmp_path: Path
) -> None:
    script("tiny_architectures").save_tiny("gpt_oss", tmp_path)
    loaded = ready_model(str(tmp_path), torch.device("cpu"), "float32")
    before = [module.sinks.clone() for module in loaded.attention_modules]

    @dataclass(frozen=True)
    class Writing(Looking):
        def score(self, layer: LayerView) -> Tensor:
            assert layer.sinks is not None
            layer.sinks.add_(1)
            return super().score(layer)

    context = prefill(loaded, some_ids(9, 3), {"writing": Writing(Reads())})
    assert "changed the sinks of layer 0" in str(context.failures["writing"])
    assert all(torch.equal(module.sinks, one) for module, one in zip(loaded.attention_modules, before, strict=True))
