"""AdaKV and the global ranking against loops over single tokens, ties and all."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lukv_bench.allocators.adakv import AdaKV
from lukv_bench.allocators.base import AllocationRequest, check_counts
from lukv_bench.allocators.global_scores import GlobalScores
from lukv_bench.scorers.base import Protection

Ask = Callable[..., AllocationRequest]
KINDS = ("distinct", "few values", "all equal", "huge")


def made_scores(shape: tuple[int, ...], kind: str, seed: int) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return {
        "distinct": drawn,
        "few values": drawn.round(),
        "all equal": torch.zeros(shape),
        "huge": drawn.sign() * torch.finfo(torch.float32).max,
    }[kind]


@st.composite
def asked(draw: st.DrawFn, layers: int) -> dict[str, Any]:
    n_tokens = draw(st.integers(1, 30))
    protection = Protection(draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    n_layers, n_heads, n_batch = draw(st.integers(1, layers)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    floor = int(protection.mask(n_tokens).sum())
    budget = draw(st.integers(n_layers * n_heads * floor, n_layers * n_heads * n_tokens))
    scores = made_scores((n_layers, n_batch, n_heads, n_tokens), draw(st.sampled_from(KINDS)), draw(st.integers(0, 99)))
    sizes = {"n_layers": n_layers, "n_heads": n_heads, "n_batch": n_batch, "n_tokens": n_tokens}
    return {"request": {"budget": budget, "protection": protection, **sizes}, "scores": scores}


def best_first(scores: list[float], protected: list[bool]) -> list[int]:
    """A head's positions: protected ones first, then by score, the lower position first."""
    return sorted(range(len(scores)), key=lambda t: (not protected[t], -scores[t], t))


def slow_pool(heads: list[list[float]], protected: list[bool], budget: int, n_safe: int) -> list[int]:
    """Counts of heads that compete for a budget: forced tokens, then one at a time the best that is left."""
    orders = [best_first(head, protected) for head in heads]
    counts = [max(n_safe, sum(protected))] * len(heads)
    for _ in range(budget - sum(counts)):
        ahead = [
            (-head[order[n]], h)
            for h, (head, order, n) in enumerate(zip(heads, orders, counts, strict=True))
            if n < len(head)
        ]
        counts[min(ahead)[1]] += 1
    return counts


@settings(deadline=None, max_examples=200)
@given(asked(layers=1), st.integers(0, 100))
def test_adakv_is_one_pool_a_layer_behind_every_head_s_safe_tokens(
    ask: Ask, given_: dict[str, Any], percent: int
) -> None:
    alpha, scores = percent / 100, given_["scores"]
    request = replace(ask(**given_["request"]), scores=scores)
    counts = AdaKV(alpha).allocate(request)
    check_counts(counts, request)
    kept = request.budget // request.n_kv_heads
    n_safe = max(1, int(kept * alpha)) if alpha and kept else 0
    for b in range(request.n_batch):
        expected = slow_pool(scores[0, b].tolist(), request.protected.tolist(), request.budget, n_safe)
        assert counts[0, b].tolist() == expected


@settings(deadline=None, max_examples=200)
@given(asked(layers=3))
def test_global_is_one_pool_over_the_model(ask: Ask, given_: dict[str, Any]) -> None:
    scores = given_["scores"]
    request = replace(ask(**given_["request"]), scores=scores)
    counts = GlobalScores().allocate(request)
    check_counts(counts, request)
    for b in range(request.n_batch):
        expected = slow_pool(scores[:, b].flatten(0, 1).tolist(), request.protected.tolist(), request.budget, 0)
        assert counts[:, b].flatten().tolist() == expected


def test_adakv_gives_a_safe_share_to_a_head_whose_scores_lose(ask: Ask) -> None:
    scores = torch.arange(100.0).repeat(1, 1, 2, 1)
    scores[..., 1, :] -= 1000
    request = ask(100, n_layers=1, n_tokens=100, protection=Protection(0, 0))
    request = replace(request, scores=scores)
    assert AdaKV().allocate(request).tolist() == [[[90, 10]]], "a fifth of the 50 that each head would have"
    assert AdaKV(0.0).allocate(request).tolist() == [[[100, 0]]]
    assert AdaKV(1.0).allocate(request).tolist() == [[[50, 50]]]


def test_adakv_counts_protected_tokens_inside_the_safe_share(ask: Ask) -> None:
    """As kvpress does, whose scorers lift protected tokens above all others."""
    scores = torch.arange(100.0).repeat(1, 1, 2, 1)
    scores[..., 1, :] -= 1000
    request = replace(ask(100, n_layers=1, n_tokens=100, protection=Protection(3, 4)), scores=scores)
    assert AdaKV().allocate(request).tolist() == [[[90, 10]]]
    request = replace(ask(100, n_layers=1, n_tokens=100, protection=Protection(3, 20)), scores=scores)
    assert AdaKV().allocate(request).tolist() == [[[77, 23]]]


def test_global_lets_a_layer_with_low_scores_keep_its_protected_tokens_alone(ask: Ask) -> None:
    scores = torch.rand(3, 1, 2, 50, generator=torch.Generator().manual_seed(0))
    scores[1] -= 10
    counts = GlobalScores().allocate(replace(ask(120), scores=scores))
    assert counts[1].tolist() == [[5, 5]]


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_adakv_refuses_an_alpha_that_is_no_share(alpha: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        AdaKV(alpha)
