"""SnapKV, TOVA and H2O against their formulas in float64, a weight at a time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from lukv_bench.scorers import h2o
from lukv_bench.scorers.base import Protection, Reads
from lukv_bench.scorers.h2o import H2O
from lukv_bench.scorers.snapkv import SnapKV
from lukv_bench.scorers.tova import TOVA

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def pooled(votes: list[float], kernel: int, pool: str) -> list[float]:
    half = kernel // 2
    if pool == "max":
        return [max(votes[max(j - half, 0) : j + half + 1]) for j in range(len(votes))]
    return [sum(votes[max(j - half, 0) : j + half + 1]) / kernel for j in range(len(votes))]


def snapkv_by_hand(layer: Any, window: int, kernel: int, pool: str) -> list[list[list[float]]]:
    n_batch, n_heads, n_tokens, _ = layer.keys.shape
    first = max(n_tokens - window, 0)
    rows = []
    for b in range(n_batch):
        heads = []
        for h in range(n_heads):
            group = []
            for q in range(h * layer.group, (h + 1) * layer.group):
                seen = [layer.attention(b, q, i) for i in range(first, n_tokens)]
                group.append(pooled([mean([weights[j] for weights in seen]) for j in range(first)], kernel, pool))
            heads.append([mean([votes[j] for votes in group]) for j in range(first)])
        top = max([score for head in heads for score in head], default=0.0) + 1
        rows.append([head + [top] * (n_tokens - first) for head in heads])
    return rows


@pytest.mark.parametrize(
    ("window", "kernel", "pool"), [(32, 7, "max"), (5, 3, "max"), (4, 5, "avg"), (1, 1, "avg"), (64, 5, "avg")]
)
def test_snapkv_follows_the_formula(
    layer: Any, assert_scores: Callable[..., None], window: int, kernel: int, pool: Any
) -> None:
    scorer = SnapKV(window, kernel, pool)
    assert scorer.reads == Reads(queries=window)
    assert_scores(scorer.score(layer.view(window)), snapkv_by_hand(layer, window, kernel, pool))


def test_snapkv_is_as_lukv_runs_it_by_default() -> None:
    assert SnapKV() == SnapKV(window=32, kernel=7, pool="max")
    assert SnapKV().protection == Protection(sink=4, window=32)
    assert SnapKV(window=64).protection == Protection(sink=4, window=64)


@pytest.mark.parametrize("wrong", [{"window": 0}, {"kernel": 4}, {"kernel": 0}, {"window": -3}])
def test_snapkv_refuses_sizes_that_mean_nothing(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SnapKV(**wrong)


def test_tova_follows_the_formula(layer: Any, assert_scores: Callable[..., None]) -> None:
    n_batch, n_heads, n_tokens, _ = layer.keys.shape
    rows = []
    for b in range(n_batch):
        seen = [layer.attention(b, q, n_tokens - 1) for q in range(n_heads * layer.group)]
        scores = [mean([weights[j] for weights in seen]) for j in range(n_tokens - 1)]
        rows.append([[*scores, max(scores, default=0.0) + 1]] * n_heads)
    assert_scores(TOVA().score(layer.view(1)), rows)


def h2o_by_hand(layer: Any) -> list[list[list[float]]]:
    n_batch, n_heads, n_tokens, _ = layer.keys.shape
    group = layer.group
    rows = []
    for b in range(n_batch):
        seen = [[layer.attention(b, q, i) for i in range(n_tokens)] for q in range(n_heads * group)]
        received = [
            [mean([seen[q][i][j] for i in range(j, n_tokens)]) for j in range(n_tokens)] for q in range(len(seen))
        ]
        rows.append(
            [
                [mean([received[q][j] for q in range(h * group, (h + 1) * group)]) for j in range(n_tokens)]
                for h in range(n_heads)
            ]
        )
    return rows


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_h2o_follows_the_formula_in_blocks_of_any_size(
    layer: Any, assert_scores: Callable[..., None], monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    n_batch, n_query_heads, n_tokens, _ = layer.queries.shape
    monkeypatch.setattr(h2o, "BLOCK_WEIGHTS", block * n_batch * n_query_heads * n_tokens)
    assert_scores(H2O().score(layer.view()), h2o_by_hand(layer))


def test_h2o_never_holds_more_weights_than_a_block(
    make_layer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    attention = h2o.attention

    def watched(*arguments: Any) -> Any:
        weights = attention(*arguments)
        held.append(weights.numel())
        return weights

    layer = make_layer((1, 2, 2, 100, 4))
    monkeypatch.setattr(h2o, "attention", watched)
    monkeypatch.setattr(h2o, "BLOCK_WEIGHTS", 3 * 4 * 100)
    H2O().score(layer.view())
    assert len(held) == 34
    assert max(held) <= 3 * 4 * 100


@pytest.mark.parametrize("scorer", [SnapKV(5, 3), TOVA(), H2O()], ids=lambda scorer: type(scorer).__name__)
def test_a_row_scores_the_same_alone_and_in_a_batch(make_layer: Callable[..., Any], scorer: Any) -> None:
    layer = make_layer((3, 2, 2, 19, 8))
    together = scorer.score(layer.view(scorer.reads.queries))
    for b in range(3):
        alone = scorer.score(layer.row(b).view(scorer.reads.queries))
        torch.testing.assert_close(together[b : b + 1], alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("scorer", [SnapKV(5, 3), TOVA(), H2O()], ids=lambda scorer: type(scorer).__name__)
@pytest.mark.parametrize("dtype", DTYPES, ids=["fp32", "fp16", "bf16"])
def test_half_precision_is_scored_in_float32(make_layer: Callable[..., Any], scorer: Any, dtype: torch.dtype) -> None:
    half = make_layer((1, 2, 2, 19, 8), dtype=dtype)
    exact = type(half)(half.keys.float(), half.values.float(), half.queries.float(), half.group)
    n = scorer.reads.queries
    assert torch.equal(scorer.score(half.view(n)), scorer.score(exact.view(n)))


@pytest.mark.parametrize("scorer", [SnapKV(5, 3), TOVA()], ids=lambda scorer: type(scorer).__name__)
def test_more_queries_than_asked_for_change_nothing(make_layer: Callable[..., Any], scorer: Any) -> None:
    """A plugin that holds several scorers shows each of them what any of them reads."""
    layer = make_layer((1, 2, 2, 19, 8))
    assert torch.equal(scorer.score(layer.view("all")), scorer.score(layer.view(scorer.reads.queries)))


def test_the_models_own_scale_counts(make_layer: Callable[..., Any]) -> None:
    layer = make_layer((1, 2, 2, 19, 8))
    usual = H2O().score(layer.view())
    torch.testing.assert_close(H2O().score(layer.view(scaling=8**-0.5)), usual)
    flat = H2O().score(layer.view(scaling=0.0))
    torch.testing.assert_close(flat[0, 0, -1], torch.tensor(1 / 19))
    assert not torch.allclose(flat, usual)
