"""CAKE, ZigZagKV and EntroKV against their formulas, a weight at a time in float64."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lukv_bench.allocators.base import AllocationRequest
from lukv_bench.allocators.cake import Cake
from lukv_bench.allocators.entrokv import EntroKV
from lukv_bench.allocators.preferences import proportional_counts
from lukv_bench.allocators.zigzagkv import ZigZagKV
from lukv_bench.scorers.base import LayerView, Reads

Ask = Callable[..., AllocationRequest]
H, G, T, D, W = 2, 2, 23, 4, 5


def drawn(seed: int) -> tuple[LayerView, list[list[Tensor]]]:
    """A layer, and the weights [W, T - W] in float64 of the window's queries, by KV head and member of its group."""
    made = torch.Generator().manual_seed(seed)
    keys, values = torch.randn(1, H, T, D, generator=made), torch.randn(1, H, T, D, generator=made)
    queries = torch.randn(1, H * G, W, D, generator=made)
    weights = []
    for h in range(H):
        weights.append([])
        for q in range(h * G, (h + 1) * G):
            logits = queries[0, q].double() @ keys[0, h].double().T / math.sqrt(D)
            rows = [logits[i, : T - W + 1 + i].softmax(0)[: T - W] for i in range(W)]
            weights[-1].append(torch.stack(rows))
    return LayerView(layer=0, keys=keys, values=values, queries=queries), weights


def entropy(weights: Tensor) -> float:
    return -sum(float(weight) * math.log(float(weight)) for weight in weights.flatten())


def test_cake_prefers_layers_of_wide_and_shifting_attention(ask: Ask) -> None:
    layers = [drawn(seed) for seed in range(3)]
    cake = Cake(window=W, tau1=1.3, tau2=2.0)
    assert cake.reads == Reads(queries=W)
    preferences = []
    for _, weights in layers:
        of_heads = [one for group in weights for one in group]
        spread = sum(float(one.var(dim=0).sum()) for one in of_heads)
        preferences.append(sum(map(entropy, of_heads)) ** (1 / 1.3) * spread ** (1 / 2.0))
    measures = torch.stack([cake.measure(view) for view, _ in layers])
    request = replace(ask(120, n_tokens=T), measures=measures)
    counts, each = cake.allocate(request)[:, 0], request.n_protected
    for layer, preference in zip(counts.tolist(), preferences, strict=True):
        ideal = each + (120 - 6 * each) * preference / sum(preferences) / H
        assert all(abs(count - ideal) < 1 for count in layer)
    assert int(counts.sum()) == 120


@pytest.mark.parametrize("mass", [0.3, 0.9, 1.0])
def test_zigzagkv_counts_the_tokens_that_hold_the_mass(mass: float) -> None:
    view, weights = drawn(7)
    expected = []
    for group in weights:
        mean = torch.stack(group).mean(dim=(0, 1)).tolist()
        order = sorted(mean, reverse=True)
        expected.append(next(n for n in range(1, T) if sum(order[:n]) >= (mass - 1e-9) * sum(mean)))
    assert ZigZagKV(mass, W).measure(view)[0, :, 0].tolist() == expected


def test_zigzagkv_bounds_every_layer_from_below(ask: Ask) -> None:
    measures = torch.tensor([[2.0, 4.0], [9.0, 9.0], [0.0, 0.0]]).view(3, 1, 2, 1)
    request = replace(ask(90, n_tokens=60), measures=measures)
    counts = ZigZagKV(floor=0.5).allocate(request)[:, 0]
    free = 90 - 6 * request.n_protected
    ideal = [request.n_protected + free * (0.5 / 6 + 0.5 * share) for share in (3 / 24, 9 / 24, 0)]
    assert all(abs(count - want) < 1 for layer, want in zip(counts.tolist(), ideal, strict=True) for count in layer)


def test_entrokv_measures_the_mean_entropy_of_a_head(ask: Ask) -> None:
    view, weights = drawn(11)
    expected = [sum(map(entropy, group)) / (G * W) for group in weights]
    got = EntroKV(window=W).measure(view)
    torch.testing.assert_close(got[0, :, 0].double(), torch.tensor(expected, dtype=torch.float64), atol=1e-5, rtol=1e-5)
    request = replace(ask(60, n_layers=1, n_tokens=50), measures=torch.tensor([3.0, 1.0]).view(1, 1, 2, 1))
    free = 60 - 2 * request.n_protected
    assert EntroKV(floor=0.0).allocate(request)[0, 0, 0] == request.n_protected + round(free * 3 / 4)


def test_no_head_exceeds_its_tokens_and_the_rest_goes_to_others(ask: Ask) -> None:
    request = ask(200, n_layers=2, n_tokens=60)
    counts = proportional_counts(request, torch.tensor([[[1e6, 1.0]], [[1.0, 1.0]]]))
    assert counts.max() == 60
    assert int(counts.sum()) == 200
    assert counts.flatten().tolist()[1:] == [47, 47, 46]


@pytest.mark.parametrize("allocator", [Cake(window=T), ZigZagKV(window=T), EntroKV(window=T)])
def test_a_context_no_longer_than_the_window_is_shared_alike(ask: Ask, allocator: Any) -> None:
    made = torch.Generator().manual_seed(0)
    view = LayerView(0, torch.randn(1, H, T, D, generator=made), torch.randn(1, H, T, D, generator=made))
    view = replace(view, queries=torch.randn(1, H * G, T, D, generator=made))
    request = replace(ask(66, n_tokens=T), measures=torch.stack([allocator.measure(view)] * 3))
    assert allocator.allocate(request).flatten().tolist() == [11] * 6


@pytest.mark.parametrize(
    ("allocator", "wrong"),
    [(Cake, {"tau1": 0.0}), (Cake, {"window": 0}), (ZigZagKV, {"mass": 0.0}), (EntroKV, {"floor": 1.5})],
)
def test_numbers_that_mean_nothing_are_refused(allocator: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        allocator(**wrong)
