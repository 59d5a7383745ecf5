"""Selection in Triton against a sort written out in plain Python, and against the torch form."""

import pytest
import torch
from torch import Tensor

from lukv_bench.kernels.select import Kept, select, select_layers
from lukv_bench.kernels.select.triton import select_layers as in_triton

INF = float("inf")


def kept_by_hand(scores: Tensor, count: int, protected: Tensor) -> list[int]:
    """Protected first, then the higher score, then the earlier position."""
    row, first = scores.tolist(), protected.tolist()
    return sorted(sorted(range(len(row)), key=lambda t: (not first[t], -row[t], t))[:count])


def assert_kept(kept: Kept, scores: Tensor, counts: Tensor, protected: Tensor) -> None:
    """One layer: what is kept by hand, in the types and the order that are promised."""
    assert (kept.mask.dtype, kept.positions.dtype, kept.offsets.dtype) == (torch.bool, torch.int64, torch.int64)
    heads = [
        kept_by_hand(scores[b, h], int(counts[b, h]), protected)
        for b in range(len(counts))
        for h in range(counts.shape[1])
    ]
    assert kept.positions.tolist() == [t for head in heads for t in head]
    assert kept.offsets.diff().tolist() == [len(head) for head in heads]
    assert int(kept.offsets[0]) == 0
    assert [head.nonzero().flatten().tolist() for head in kept.mask.flatten(0, 1)] == heads


def scores_like(kind: str, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    if kind == "distinct":
        return torch.randn(shape, generator=random)
    if kind == "ties":
        return torch.randint(-2, 3, shape, generator=random).float()
    if kind == "neighbours":  # differ in the last bits only
        return (torch.randint(0, 600, shape, generator=random, dtype=torch.int32) + 0x3F7FFF00).view(torch.float32)
    values = torch.tensor([INF, -INF, 0.0, -0.0, 1e-40, -1e-40, 3.4e38, -3.4e38, 1.0])
    return values[torch.randint(len(values), shape, generator=random)]


@pytest.mark.parametrize(
    ("kind", "n_tokens", "block"),
    [("distinct", 1, 16), ("extremes", 2, 16), ("ties", 150, 64), ("extremes", 256, 256), ("neighbours", 255, 256)],
)
def test_keeps_exactly_what_sorting_by_hand_keeps(kind: str, n_tokens: int, block: int) -> None:
    random = torch.Generator().manual_seed(n_tokens)
    scores = scores_like(kind, (1, 2, 2, n_tokens), random)
    protected = torch.rand(n_tokens, generator=random) < 0.2
    counts = torch.tensor([[[0, n_tokens], [int(protected.sum()), n_tokens // 3]]])  # fewer than protected, too
    (kept,) = in_triton(scores, counts, protected, block)
    assert_kept(kept, scores[0], counts[0], protected)


@pytest.mark.parametrize("score", [0.0, INF, -INF])
def test_equal_scores_keep_the_earlier_position(score: float) -> None:
    scores, protected = torch.full((1, 1, 50), score), torch.zeros(50, dtype=torch.bool)
    protected[[0, 49]] = True
    kept = select(scores, torch.tensor([[7]]), protected, backend="triton-interpret")
    assert kept.positions.tolist() == [0, 1, 2, 3, 4, 5, 49]


def test_layers_and_configurations_over_one_table_are_selected_together() -> None:
    random = torch.Generator().manual_seed(5)
    table = torch.randn(2, 1, 2, 40, generator=random).transpose(2, 3).contiguous().transpose(2, 3)
    counts = torch.randint(2, 41, (2, 3, 2), generator=random)
    protected = torch.zeros(40, dtype=torch.bool)
    protected[:2] = True
    in_torch = select_layers(table, counts, protected)
    for layer, (kept, same) in enumerate(zip(in_triton(table, counts, protected, 64), in_torch, strict=True)):
        assert_kept(kept, table[layer].expand(3, 2, 40), counts[layer], protected)
        assert all(torch.equal(getattr(kept, name), getattr(same, name)) for name in ("mask", "positions", "offsets"))
