"""Expected Attention against its formula in float64, a position and a query at a time."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lukv_bench.scorers.base import LayerView, Protection, Reads
from lukv_bench.scorers.expected_attention import ExpectedAttention

Matrix = NDArray[np.float64]
THETA = 100.0


def angles(n_rotated: int) -> Matrix:
    return np.array([THETA ** (-2 * i / n_rotated) for i in range(n_rotated // 2)])


def rotary(n_rotated: int) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def rotary(positions: Tensor) -> tuple[Tensor, Tensor]:
        turned = positions.double()[:, None] * torch.from_numpy(angles(n_rotated))
        both = torch.cat([turned, turned], dim=-1)
        return both.cos().float(), both.sin().float()

    return rotary


def rotation(position: int, n_rotated: int, dim: int) -> Matrix:
    """The matrix that turns a query [D] at a position."""
    matrix, half = np.eye(dim), n_rotated // 2
    for i, angle in enumerate(angles(n_rotated)):
        cos, sin = math.cos(position * angle), math.sin(position * angle)
        matrix[i, i] = matrix[half + i, half + i] = cos
        matrix[i, half + i], matrix[half + i, i] = -sin, sin
    return matrix


def by_hand(layer: Any, scorer: ExpectedAttention, n_rotated: int) -> list[list[list[float]]]:
    n_batch, n_heads, n_tokens, dim = layer.keys.shape
    sink = min(scorer.n_sink, n_tokens)
    turn = np.mean([rotation(n_tokens + i, n_rotated, dim) for i in range(scorer.n_future)], axis=0)
    rows = []
    for b in range(n_batch):
        heads = []
        for h in range(n_heads):
            keys, values = (x[b, h, sink:].double().numpy() for x in (layer.keys, layer.values))
            total = np.zeros(n_tokens - sink)
            for q in range(h * layer.group, (h + 1) * layer.group):
                queries = layer.queries[b, q, sink:].double().numpy()
                mean = sum(queries, np.zeros(dim)) / max(len(queries), 1)
                spread = sum((np.outer(x - mean, x - mean) for x in queries), np.zeros((dim, dim)))
                spread = turn @ (spread / max(len(queries), 1)) @ turn.T
                logits = np.array([(turn @ mean) @ k / math.sqrt(dim) for k in keys])
                if scorer.use_covariance:
                    logits = logits + np.array([k @ spread @ k / (2 * dim) for k in keys])
                weights = np.exp(logits - logits.max(initial=-np.inf)) if len(keys) else logits
                total += weights / weights.sum() / layer.group
            if scorer.use_vnorm:
                total = np.array([(total[j] + scorer.epsilon) * math.hypot(*values[j]) for j in range(len(keys))])
            heads.append(total.tolist())
        top = max([score for head in heads for score in head], default=0.0) + 1
        rows.append([[top] * sink + head for head in heads])
    return rows


def view(layer: Any, n_rotated: int) -> LayerView:
    return LayerView(0, layer.keys, layer.values, queries_before_rotary=layer.queries, rotary=rotary(n_rotated))


@pytest.mark.parametrize(
    "scorer",
    [
        ExpectedAttention(),
        ExpectedAttention(n_future=5, n_sink=0, epsilon=0.0),
        ExpectedAttention(n_future=1, n_sink=1, use_covariance=False),
        ExpectedAttention(n_future=33, n_sink=7, use_vnorm=False),
    ],
    ids=["default", "no-sink", "no-covariance", "no-vnorm"],
)
def test_scores_follow_the_formula(layer: Any, assert_scores: Callable[..., None], scorer: ExpectedAttention) -> None:
    dim = layer.keys.shape[3]
    assert_scores(scorer.score(view(layer, dim)), by_hand(layer, scorer, dim), rtol=2e-4)


def test_dims_that_the_model_does_not_rotate_stay(make_layer: Callable[..., Any], assert_scores: Any) -> None:
    layer, scorer = make_layer((1, 2, 2, 23, 10)), ExpectedAttention(n_future=20)
    assert_scores(scorer.score(view(layer, 4)), by_hand(layer, scorer, 4), rtol=2e-4)


def test_it_is_as_lukv_runs_it_by_default() -> None:
    scorer = ExpectedAttention()
    assert (scorer.n_future, scorer.n_sink, scorer.epsilon) == (512, 4, 0.02)
    assert scorer.protection == Protection(sink=4, window=1)
    assert scorer.reads == Reads(queries_before_rotary=True, rotary=True)


@pytest.mark.parametrize("wrong", [{"n_future": 0}, {"n_sink": -1}, {"epsilon": -0.1}])
def test_it_refuses_numbers_that_mean_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ExpectedAttention(**wrong)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["fp16", "bf16"])
def test_half_precision_is_scored_in_float32(make_layer: Callable[..., Any], dtype: torch.dtype) -> None:
    half = make_layer((1, 2, 2, 19, 8), dtype=dtype)
    exact = type(half)(half.keys.float(), half.values.float(), half.queries.float(), half.group)
    scorer = ExpectedAttention()
    assert torch.equal(scorer.score(view(half, 8)), scorer.score(view(exact, 8)))
