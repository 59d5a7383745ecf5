"""What every built-in scorer promises, over shapes, precisions and sizes of numbers."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lukv_bench.bench.plugins.registry import build, describe_all
from lukv_bench.scorers.base import LayerView, Profile, Reads

SPECS = [
    "critical:of=(snapkv:window=3)" if known.name == "critical" else known.name
    for known in describe_all("scorer")
    if known.distribution == "lukv-bench"
]


def rotary(positions: Tensor) -> tuple[Tensor, Tensor]:
    angle = positions.float()[:, None] * torch.tensor([1.0, 0.1]).repeat(2)
    return angle.cos(), angle.sin()


def view(reads: Reads, shape: tuple[int, int, int, int], seed: int, size: float, dtype: torch.dtype) -> LayerView:
    """A layer with what a scorer declared, D = 6 of which 4 are rotated, hidden = 5; one profile serves all."""
    n_batch, n_heads, group, n_tokens = shape
    made = torch.Generator().manual_seed(seed)

    def draw(*sizes: int) -> Tensor:
        return (size * torch.randn(*sizes, generator=made)).to(dtype)

    keys, values = draw(n_batch, n_heads, n_tokens, 6), draw(n_batch, n_heads, n_tokens, 6)
    queries, before = draw(n_batch, n_heads * group, n_tokens, 6), draw(n_batch, n_heads * group, n_tokens, 6)
    last = n_tokens if reads.queries == "all" else min(reads.queries, n_tokens)
    hidden_states = draw(n_batch, n_tokens, 5) if reads.hidden_states else None
    fitted = {"weights": torch.randn(2, n_heads, 5, generator=made), "bias": torch.randn(2, n_heads, generator=made)}
    maps, levels = torch.randn(3, 2, n_heads, 15, generator=made), torch.randn(3, 2, n_heads, generator=made)
    knots, worth = torch.randn(2, 3, 2, n_heads, 7, generator=made).sort(dim=-1).values
    fitted |= {"maps": maps, "levels": levels, "knots": knots, "worth": worth}
    fitted |= {"unit": torch.rand(3, generator=made), "longest": torch.tensor([20.0])}
    return LayerView(
        layer=1,
        keys=keys,
        values=values,
        hidden_states=hidden_states,
        profile=Profile("fitted", fitted),
        queries=queries[:, :, n_tokens - last :] if last else None,
        queries_before_rotary=before if reads.queries_before_rotary else None,
        rotary=rotary if reads.rotary else None,
        output_weight=draw(n_heads * group, 6, 5) if reads.output_weight else None,
        n_kept=max(1, n_tokens // 3) if reads.budget else None,
        seed=seed,
        future=draw(n_batch, n_heads, n_tokens).float().abs() if reads.future else None,
        replay=draw(n_batch, n_heads, n_tokens).float().abs() if reads.replay else None,
    )


def row_of(layer: LayerView, b: int) -> LayerView:
    def cut(tensor: Tensor | None) -> Any:
        return None if tensor is None else tensor[b : b + 1]

    return LayerView(
        layer=layer.layer,
        keys=cut(layer.keys),
        hidden_states=cut(layer.hidden_states),
        profile=layer.profile,
        values=cut(layer.values),
        queries=cut(layer.queries),
        queries_before_rotary=cut(layer.queries_before_rotary),
        rotary=layer.rotary,
        output_weight=layer.output_weight,
        n_kept=layer.n_kept,
        seed=layer.seed,
        future=cut(layer.future),
        replay=cut(layer.replay),
    )


SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 45))


@pytest.mark.parametrize("spec", SPECS)
@settings(deadline=None, max_examples=30)
@given(
    shape=SHAPES,
    seed=st.integers(0, 2**31),
    size=st.sampled_from([0.0, 1e-4, 1.0, 300.0]),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
)
def test_scores_are_finite_float32_of_the_caches_shape_whatever_the_numbers(
    spec: str, shape: tuple[int, int, int, int], seed: int, size: float, dtype: torch.dtype
) -> None:
    scorer = build("scorer", spec).instance
    layer = view(scorer.reads, shape, seed, size, dtype)
    keys, values = layer.keys.clone(), layer.values.clone()
    scores = scorer.score(layer)
    assert scores.dtype == torch.float32
    assert scores.shape == layer.keys.shape[:3]
    assert scores.isfinite().all()
    assert torch.equal(scores, scorer.score(layer)), "the same layer scores the same"
    assert torch.equal(layer.keys, keys)
    assert torch.equal(layer.values, values)


@pytest.mark.parametrize("spec", SPECS)
@settings(deadline=None, max_examples=20)
@given(shape=SHAPES, seed=st.integers(0, 2**31))
def test_a_row_is_scored_as_if_it_were_alone(spec: str, shape: tuple[int, int, int, int], seed: int) -> None:
    scorer = build("scorer", spec).instance
    layer = view(scorer.reads, shape, seed, 1.0, torch.float32)
    scores = scorer.score(layer)
    for b in range(shape[0]):
        torch.testing.assert_close(scores[b : b + 1], scorer.score(row_of(layer, b)), rtol=1e-4, atol=1e-5)
