"""Key norm, StreamingLLM and the random control."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lukv_bench.kernels.select import select
from lukv_bench.scorers.base import LayerView, Protection
from lukv_bench.scorers.knorm import KNorm
from lukv_bench.scorers.random import Random
from lukv_bench.scorers.streaming_llm import StreamingLLM


def test_knorm_is_minus_the_norm(layer: Any, assert_scores: Callable[..., None]) -> None:
    expected = [[[-math.hypot(*key) for key in head] for head in row] for row in layer.keys.double().tolist()]
    assert_scores(KNorm().score(layer.view(1)), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["fp16", "bf16"])
def test_knorm_tells_half_precision_keys_apart(dtype: torch.dtype) -> None:
    """A norm rounded to half precision would tie most of them."""
    keys = (100 + torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 40).to(dtype)
    scores = KNorm().score(LayerView(0, keys, keys))
    assert scores.dtype == torch.float32
    assert scores.isfinite().all()
    assert len(scores.unique()) > 60


@pytest.mark.parametrize(("n_sink", "n_kept"), [(4, 10), (4, 20), (4, 4), (0, 7), (30, 7), (1, 1), (3, 2)])
def test_streaming_llm_keeps_the_first_and_the_last(make_layer: Callable[..., Any], n_sink: int, n_kept: int) -> None:
    layer = make_layer((2, 3, 1, 20, 4))
    scores = StreamingLLM(n_sink).score(layer.view(1))
    none = torch.zeros(20, dtype=torch.bool)
    kept = select(scores, torch.full((2, 3), n_kept), none)
    sinks = min(n_sink, n_kept)
    expected = [*range(sinks), *range(20 - (n_kept - sinks), 20)]
    assert kept.positions.view(6, -1).tolist() == [expected] * 6


def test_streaming_llm_protects_its_sinks() -> None:
    assert StreamingLLM().protection == Protection(4, 1)
    assert StreamingLLM(n_sink=7).protection == Protection(7, 1)
    with pytest.raises(ValueError, match="n_sink"):
        StreamingLLM(n_sink=-1)


def test_random_follows_seed_and_layer_alone(make_layer: Callable[..., Any]) -> None:
    layer = make_layer((1, 3, 1, 50, 4))
    other = make_layer((1, 3, 1, 50, 4), seed=9)

    def draw(shown: Any, seed: int, index: int) -> torch.Tensor:
        return Random().score(LayerView(index, shown.keys, shown.values, seed=seed))

    first = draw(layer, 5, 2)
    torch.manual_seed(99)
    torch.rand(3)
    state = torch.get_rng_state()
    assert torch.equal(draw(other, 5, 2), first), "the keys do not matter, nor what was drawn before"
    assert torch.equal(torch.get_rng_state(), state), "the run's own stream is left alone"
    assert not torch.equal(draw(layer, 6, 2), first)
    assert not torch.equal(draw(layer, 5, 3), first)
    assert first.dtype == torch.float32


def test_random_is_uniform_and_independent_between_heads() -> None:
    keys = torch.zeros(1, 4, 5000, 1)
    scores = Random().score(LayerView(0, keys, keys, seed=1))[0]
    assert scores.min() >= 0
    assert scores.max() < 1
    torch.testing.assert_close(scores.mean(dim=1), torch.full((4,), 0.5), atol=0.02, rtol=0)
    assert torch.corrcoef(scores).fill_diagonal_(0).abs().max() < 0.06


def test_random_scores_a_row_the_same_alone_and_in_a_batch(make_layer: Callable[..., Any]) -> None:
    layer = make_layer((3, 2, 1, 11, 4))
    together = Random().score(layer.view(1, seed=4))
    for b in range(3):
        assert torch.equal(together[b : b + 1], Random().score(layer.row(b).view(1, seed=4)))
