"""CriticalKV around other scorers, against its two stages written out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from lukv_bench.kernels.select import select
from lukv_bench.scorers import critical
from lukv_bench.scorers.base import LayerView, Protection, Reads
from lukv_bench.scorers.critical import Critical
from lukv_bench.scorers.h2o import H2O
from lukv_bench.scorers.keydiff import KeyDiff
from lukv_bench.scorers.snapkv import SnapKV


@dataclass(frozen=True)
class Given:
    """A scorer that says what it was told to."""

    source: ClassVar[str] = "tests"
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(2, 3)
    table: Any

    def score(self, layer: LayerView) -> Tensor:
        return self.table.clone()


def weight(layer: Any, hidden: int = 7) -> Tensor:
    n_query_heads, dim = layer.queries.shape[1], layer.queries.shape[3]
    return torch.randn(n_query_heads, dim, hidden, generator=torch.Generator().manual_seed(3))


def projected_norms(layer: Any, output: Tensor) -> list[list[list[float]]]:
    """[B][H][T]: mean over the group of the sum of |W_O v|."""
    n_batch, n_heads, n_tokens, _ = layer.keys.shape
    group, columns = layer.group, output.double().tolist()

    def norm(value: list[float], q: int) -> float:
        rows = columns[q]
        return sum(abs(sum(v * row[c] for v, row in zip(value, rows, strict=True))) for c in range(len(rows[0])))

    values = layer.values.double().tolist()
    return [
        [
            [sum(norm(values[b][h][j], h * group + g) for g in range(group)) / group for j in range(n_tokens)]
            for h in range(n_heads)
        ]
        for b in range(n_batch)
    ]


def kept_by_hand(inner: list[float], second: list[float], n_kept: int, n_first: int) -> set[int]:
    first = sorted(range(len(inner)), key=lambda j: -inner[j])[:n_first]
    rest = sorted(set(range(len(inner))) - set(first), key=lambda j: -second[j])
    return {*first, *rest[: n_kept - n_first]}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_two_stages_keep_what_they_say(layer: Any, share: float) -> None:
    n_batch, n_heads, n_tokens, _ = layer.keys.shape
    table = torch.rand(n_batch, n_heads, n_tokens, generator=torch.Generator().manual_seed(1))
    output = weight(layer)
    norms = torch.tensor(projected_norms(layer, output), dtype=torch.float64)
    second = (table.double() + 1e-4) * norms
    scorer = Critical(of=Given(table), first_share=share)
    for n_kept in {1, n_tokens // 3, n_tokens // 2, n_tokens} - {0}:
        scores = scorer.score(layer.view(1, output_weight=output, n_kept=n_kept))
        assert scores.dtype == torch.float32
        assert scores.isfinite().all()
        n_first = max(1, int(share * n_kept)) if share else 0
        mask = select(scores, torch.full((n_batch, n_heads), n_kept), torch.zeros(n_tokens, dtype=torch.bool)).mask
        for b in range(n_batch):
            for h in range(n_heads):
                expected = kept_by_hand(table[b, h].tolist(), second[b, h].tolist(), n_kept, n_first)
                assert set(mask[b, h].nonzero().flatten().tolist()) == expected


def test_the_second_stage_is_the_score_times_the_projected_norm(layer: Any, assert_scores: Any) -> None:
    table = torch.rand(layer.keys.shape[:3], generator=torch.Generator().manual_seed(1))
    output = weight(layer)
    scorer = Critical(of=Given(table), first_share=0.0, epsilon=0.25)
    norms = torch.tensor(projected_norms(layer, output), dtype=torch.float64)
    got = scorer.score(layer.view(1, output_weight=output, n_kept=3))
    assert_scores(got, ((table.double() + 0.25) * norms).tolist())


def test_a_head_that_gets_less_than_its_first_stage_keeps_the_best_of_it(make_layer: Callable[..., Any]) -> None:
    layer = make_layer((1, 2, 1, 400, 4))
    table = torch.rand(1, 2, 400, generator=torch.Generator().manual_seed(1))
    view = layer.view(1, output_weight=1e6 * weight(layer), n_kept=300)
    scores = Critical(of=Given(table)).score(view)
    for n in (1, 10, 149):
        mask = select(scores, torch.full((1, 2), n), torch.zeros(400, dtype=torch.bool)).mask
        assert torch.equal(mask, table >= table.topk(n, dim=-1).values[..., -1:])


def test_it_reads_and_protects_what_the_inner_scorer_does() -> None:
    scorer = Critical(of=SnapKV(window=17))
    assert scorer.reads == Reads(queries=17, output_weight=True, budget=True)
    assert scorer.protection == Protection(4, 17)
    assert Critical(of=H2O()).reads.queries == "all"
    assert (Reads(queries=3, rotary=True) | Reads(queries=9, module=True)) == Reads(queries=9, rotary=True, module=True)
    assert Critical(of=Critical(of=KeyDiff())).protection == KeyDiff.protection


def test_blocks_of_tokens_change_nothing(make_layer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    layer = make_layer((2, 2, 3, 23, 6))
    view = layer.view(5, output_weight=weight(layer), n_kept=9)
    whole = Critical(of=SnapKV(5)).score(view)
    monkeypatch.setattr(critical, "BLOCK_TOKENS", 4)
    torch.testing.assert_close(Critical(of=SnapKV(5)).score(view), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["fp16", "bf16"])
def test_half_precision_is_scored_in_float32(make_layer: Callable[..., Any], dtype: torch.dtype) -> None:
    half = make_layer((1, 2, 2, 19, 8), dtype=dtype)
    output = (300 * weight(half, hidden=900)).to(dtype)  # sums of that many exceed float16
    table = torch.rand(1, 2, 19, generator=torch.Generator().manual_seed(1))
    exact = type(half)(half.keys.float(), half.values.float(), half.queries.float(), half.group)
    scorer = Critical(of=Given(table))
    got = scorer.score(half.view(1, output_weight=output, n_kept=8))
    assert got.isfinite().all()
    assert torch.equal(got, scorer.score(exact.view(1, output_weight=output.float(), n_kept=8)))


@pytest.mark.parametrize("wrong", [{"first_share": 1.5}, {"first_share": -0.1}, {"epsilon": -1.0}])
def test_it_refuses_numbers_that_mean_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Critical(of=KeyDiff(), **wrong)
