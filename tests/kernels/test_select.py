"""Selection against a sort written out in plain Python."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lukv_bench.kernels.select import Kept, select

INF = float("inf")


def kept_by_hand(scores: Tensor, counts: Tensor, protected: Tensor) -> list[list[list[int]]]:
    """Protected first, then the higher score, then the earlier position."""
    rows = scores.tolist()
    return [
        [
            sorted(
                sorted(range(len(head)), key=lambda t, head=head: (not bool(protected[t]), -head[t], t))[
                    : int(counts[b, h])
                ]
            )
            for h, head in enumerate(row)
        ]
        for b, row in enumerate(rows)
    ]


def as_lists(kept: Kept) -> list[list[list[int]]]:
    n_batch, n_heads, _ = kept.mask.shape
    starts = kept.offsets.tolist()
    flat = kept.positions.tolist()
    pieces = [flat[a:b] for a, b in itertools.pairwise(starts)]
    return [pieces[b * n_heads : (b + 1) * n_heads] for b in range(n_batch)]


def assert_consistent(kept: Kept, counts: Tensor, protected: Tensor) -> None:
    """Mask, positions and offsets say the same, in the promised types and order."""
    assert (kept.mask.dtype, kept.positions.dtype, kept.offsets.dtype) == (torch.bool, torch.int64, torch.int64)
    assert kept.mask.sum(-1).tolist() == counts.tolist()
    assert kept.mask[..., protected].all()
    assert kept.offsets.tolist() == [0, *torch.cumsum(counts.reshape(-1), 0).tolist()]
    from_mask = [[head.nonzero().flatten().tolist() for head in row] for row in kept.mask]
    assert as_lists(kept) == from_mask


@st.composite
def selections(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Scores with many ties and extremes, a protected mask, counts from its size to T."""
    n_batch, n_heads, n_tokens = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 12))
    value = st.one_of(st.integers(-2, 2).map(float), st.sampled_from([INF, -INF, -0.0, 1e-30, -1e-30, 3e38]))
    n_scores, n_counts = n_batch * n_heads * n_tokens, n_batch * n_heads
    scores = torch.tensor(draw(st.lists(value, min_size=n_scores, max_size=n_scores)), dtype=torch.float32)
    protected = torch.tensor(draw(st.lists(st.booleans(), min_size=n_tokens, max_size=n_tokens)))
    count = st.integers(int(protected.sum()), n_tokens)
    counts = torch.tensor(draw(st.lists(count, min_size=n_counts, max_size=n_counts)), dtype=torch.int64)
    return scores.view(n_batch, n_heads, n_tokens), counts.view(n_batch, n_heads), protected


@settings(max_examples=300, deadline=None)
@given(selections())
def test_keeps_exactly_what_sorting_by_hand_keeps(selection: tuple[Tensor, Tensor, Tensor]) -> None:
    scores, counts, protected = selection
    kept = select(scores, counts, protected)
    assert_consistent(kept, counts, protected)
    assert as_lists(kept) == kept_by_hand(scores, counts, protected)


@pytest.mark.parametrize(
    ("n_batch", "n_heads", "n_tokens", "levels"),
    [(1, 1, 4097, 7), (2, 3, 1025, 3), (3, 4, 513, 10**6)],
    ids=["B1-H1-T4097-ties", "B2-H3-T1025-ties", "B3-H4-T513-distinct"],
)
def test_keeps_what_sorting_by_hand_keeps_at_lengths_of_real_contexts(
    n_batch: int, n_heads: int, n_tokens: int, levels: int
) -> None:
    random = torch.Generator().manual_seed(n_tokens)
    scores = torch.randint(levels, (n_batch, n_heads, n_tokens), generator=random).float()
    protected = torch.zeros(n_tokens, dtype=torch.bool)
    protected[:4] = protected[-32:] = True
    counts = torch.randint(36, n_tokens + 1, (n_batch, n_heads), generator=random)
    kept = select(scores, counts, protected)
    assert_consistent(kept, counts, protected)
    assert as_lists(kept) == kept_by_hand(scores, counts, protected)


def test_equal_scores_keep_the_earlier_position() -> None:
    kept = select(torch.zeros(1, 1, 50), torch.tensor([[7]]), torch.zeros(50, dtype=torch.bool))
    assert kept.positions.tolist() == list(range(7))


def test_zero_and_minus_zero_are_equal_scores() -> None:
    kept = select(torch.tensor([[[-0.0, 0.0, -0.0, 0.0]]]), torch.tensor([[1]]), torch.zeros(4, dtype=torch.bool))
    assert kept.positions.tolist() == [0]


def test_protected_tokens_stay_although_every_other_token_scores_higher() -> None:
    scores = torch.full((1, 2, 10), INF)
    protected = torch.zeros(10, dtype=torch.bool)
    protected[[3, 9]] = True
    scores[..., protected] = -INF
    kept = select(scores, torch.tensor([[2, 4]]), protected)
    assert as_lists(kept) == [[[3, 9], [0, 1, 3, 9]]]


def test_a_head_may_keep_nothing_and_another_everything() -> None:
    scores = torch.rand(1, 2, 5, generator=torch.Generator().manual_seed(0))
    kept = select(scores, torch.tensor([[0, 5]]), torch.zeros(5, dtype=torch.bool))
    assert as_lists(kept) == [[[], [0, 1, 2, 3, 4]]]


def test_more_budget_only_adds_positions() -> None:
    scores = torch.rand(2, 3, 40, generator=torch.Generator().manual_seed(1)).round(decimals=1)
    protected = torch.zeros(40, dtype=torch.bool)
    protected[:2] = True
    masks = [select(scores, torch.full((2, 3), n), protected).mask for n in range(2, 41)]
    assert all((small <= large).all() for small, large in itertools.pairwise(masks))


def test_the_scores_are_left_as_they_were() -> None:
    scores = torch.rand(1, 2, 9, generator=torch.Generator().manual_seed(2))
    before = scores.clone()
    select(scores, torch.tensor([[3, 4]]), torch.zeros(9, dtype=torch.bool))
    assert torch.equal(scores, before)
