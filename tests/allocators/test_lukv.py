"""LU-KV's fit against a slow implementation of its own, and what its profile turns into."""

import heapq
import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from lukv_bench import UserError
from lukv_bench.allocators.base import AllocationRequest
from lukv_bench.allocators.lukv import LUKV
from lukv_bench.kernels.select import select
from lukv_bench.scorers.base import CalibrationDocument, Protection

Ask = Callable[..., AllocationRequest]
Curve = Callable[[int, int, int], Tensor]


def document(n_questions: int, n_tokens: int, seed: int, ties: bool = False, n_layers: int = 2) -> CalibrationDocument:
    """A made-up calibration: heavy-tailed importance, scores that know a little of it."""
    made = torch.Generator().manual_seed(seed)
    strength = torch.rand(n_layers, 3, 1, generator=made) * 3 + 0.2
    importance = torch.rand(n_questions, n_layers, 3, n_tokens, generator=made).pow(-strength)
    scores = importance.mean(0).log() + torch.randn(n_layers, 3, n_tokens, generator=made) * 2
    protected = Protection(4, 1).mask(n_tokens)
    return CalibrationDocument(scores.round() if ties else scores, importance, protected)


def eviction_order(document: CalibrationDocument) -> list[list[list[int]]]:
    """[L][H]: the evictable positions in the order in which `select` lets go of them."""
    n_protected, n_tokens = int(document.protected.sum()), document.scores.shape[-1]
    n_layers, n_heads, _ = document.scores.shape
    orders: list[list[list[int]]] = [[[] for _ in range(n_heads)] for _ in range(n_layers)]
    before = torch.ones_like(document.scores, dtype=torch.bool)
    for count in range(n_tokens - 1, n_protected - 1, -1):
        now = select(document.scores, torch.full((n_layers, n_heads), count), document.protected).mask
        for layer, head, position in (before & ~now).nonzero().tolist():
            orders[layer][head].append(position)
        before = now
    return orders


def pooled(losses: list[float]) -> list[float]:
    """Pool adjacent violators, with no care for speed."""
    blocks: list[tuple[Fraction, int]] = []
    for loss in losses:
        blocks.append((Fraction(loss), 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    return [float(value) for value, n in blocks for _ in range(n)]


def slow_curve(document: CalibrationDocument) -> Tensor:
    """float64 [99, L, H], by the published recipe: order, relax, one heap over the model, mean over questions."""
    n_layers, n_heads, _ = document.scores.shape
    orders = [order for layer in eviction_order(document) for order in layer]
    n_evictable = len(orders[0])
    curves = []
    for question in document.importance.reshape(len(document.importance), n_layers * n_heads, -1).tolist():
        losses = [pooled([head[t] for t in order]) for head, order in zip(question, orders, strict=True)]
        heap = [(head[0], index) for index, head in enumerate(losses)]
        heapq.heapify(heap)
        evicted, rows = [0] * len(losses), []
        for target in range(1, 100):
            while sum(evicted) < round(len(losses) * n_evictable * target / 100):
                _, index = heapq.heappop(heap)
                evicted[index] += 1
                if evicted[index] < n_evictable:
                    heapq.heappush(heap, (losses[index][evicted[index]], index))
            rows.append([1 - n / n_evictable for n in evicted])
        curves.append(torch.tensor(rows, dtype=torch.float64))
    return torch.stack(curves).mean(0).view(99, n_layers, n_heads)


def fitted(*documents: CalibrationDocument) -> Tensor:
    curve = LUKV().fit(documents)["curve"]
    assert curve.dtype == torch.float64
    return curve


@pytest.mark.parametrize("ties", [False, True], ids=["distinct scores", "tied scores"])
def test_fit_equals_the_published_recipe_done_slowly(ties: bool) -> None:
    made_up = document(n_questions=3, n_tokens=37, seed=1, ties=ties)
    torch.testing.assert_close(fitted(made_up), slow_curve(made_up), atol=1e-12, rtol=0)


def test_documents_weigh_the_same_whatever_their_number_of_questions() -> None:
    short, long = document(1, 25, seed=2), document(6, 45, seed=3)
    torch.testing.assert_close(fitted(short, long), (slow_curve(short) + slow_curve(long)) / 2, atol=1e-12, rtol=0)


def test_fitted_curves_are_shares_that_only_fall_and_whose_mean_is_the_target() -> None:
    curve = fitted(document(2, 105, seed=4), document(1, 205, seed=5))
    assert curve.shape == (99, 2, 3)
    assert (curve >= 0).all()
    assert (curve <= 1).all()
    assert (curve.diff(dim=0) <= 0).all()
    mean = curve.mean(dim=(1, 2))
    torch.testing.assert_close(mean, 1 - torch.arange(1, 100).double() / 100, atol=1e-12, rtol=0)


def test_importance_and_scores_of_protected_tokens_change_nothing() -> None:
    made_up = document(2, 30, seed=6)
    loud = CalibrationDocument(made_up.scores.clone(), made_up.importance.clone(), made_up.protected)
    loud.scores[..., loud.protected] = 1e6
    loud.importance[..., loud.protected] = 1e6
    assert torch.equal(fitted(loud), fitted(made_up))


def test_a_head_whose_tokens_matter_keeps_more() -> None:
    made_up = document(1, 105, seed=7)
    made_up.importance[:, 1, 2] *= 1e6
    curve = fitted(made_up)
    assert (curve[:83, 1, 2] == 1).all(), "five heads of six can give 83% of all tokens"
    assert (curve[82].flatten()[:5] < 0.1).all()


def test_a_profile_fitted_on_a_context_gives_back_its_solution_at_every_target(ask: Ask) -> None:
    made_up = document(n_questions=1, n_tokens=105, seed=8)
    curve, expected = fitted(made_up), 5 + (slow_curve(made_up) * 100).round().long()
    for target in range(1, 100):
        request = ask(6 * 5 + 600 - 6 * target, n_layers=2, n_heads=3, n_tokens=105, curve=curve)
        assert torch.equal(LUKV().allocate(request)[:, 0], expected[target - 1]), f"at {target}%"


@pytest.mark.parametrize("n_tokens", [105, 1005, 20005])
def test_a_grid_point_gives_exactly_the_curve_at_any_length(ask: Ask, rising_curve: Curve, n_tokens: int) -> None:
    curve = rising_curve(3, 2, 1)
    evictable = n_tokens - 5
    for target in (1, 2, 50, 80, 99):
        request = ask(6 * 5 + 6 * evictable * (100 - target) // 100, n_tokens=n_tokens, curve=curve)
        expected = 5 + (curve[target - 1] * evictable).round().long()
        assert torch.equal(LUKV().allocate(request)[:, 0], expected)


@pytest.mark.parametrize("n_tokens", [37, 1000, 12345])
def test_between_grid_points_counts_lie_on_the_line_between_them(ask: Ask, rising_curve: Curve, n_tokens: int) -> None:
    curve = rising_curve(3, 2, 2)
    evictable = n_tokens - 5
    for per_mille in (3, 9, 15, 504, 797, 805, 899, 987):
        kept = 6 * evictable - 6 * evictable * per_mille // 1000
        request = ask(6 * 5 + kept, n_tokens=n_tokens, curve=curve)
        position = Fraction(6 * evictable - kept, 6 * evictable) * 100
        low, along = math.floor(position), float(position - math.floor(position))
        at_low = curve[low - 1] if low else torch.ones(3, 2)
        ideal = 5 + evictable * ((1 - along) * at_low + along * curve[low])
        counts = LUKV().allocate(request)[:, 0]
        assert int(counts.sum()) == request.budget
        assert float((counts - ideal).abs().max()) < 1 + 1e-6


def test_below_one_percent_the_counts_go_towards_the_full_cache(ask: Ask, rising_curve: Curve) -> None:
    curve = rising_curve(3, 2, 3)
    full, at_one_percent = 6 * 1005, 6 * 1005 - 60
    counts = [LUKV().allocate(ask(b, n_tokens=1005, curve=curve))[:, 0] for b in range(at_one_percent, full + 1, 6)]
    assert (counts[-1] == 1005).all()
    assert torch.equal(counts[0], 5 + (curve[0] * 1000).round().long())
    for smaller, larger in itertools.pairwise(counts):
        assert (larger >= smaller - 1).all()


def test_the_last_target_is_served_and_one_slot_less_is_refused(ask: Ask, rising_curve: Curve) -> None:
    curve = rising_curve(3, 2, 4)
    last = 6 * 5 + 6 * 10  # 1% of 1000 evictable tokens in six heads, protected ones on top
    assert int(LUKV().allocate(ask(last, n_tokens=1005, curve=curve)).sum()) == last
    with pytest.raises(UserError, match="99%"):
        LUKV().allocate(ask(last - 1, n_tokens=1005, curve=curve))


def test_floors_are_absolute_and_do_not_grow_with_the_context(ask: Ask, rising_curve: Curve) -> None:
    curve = rising_curve(3, 2, 5)
    curve[:, 1] += curve[:, 2]  # layer 1 takes what layer 2 would have kept
    curve[:, 1], curve[:, 2] = curve[:, 1].clamp(max=1), (curve[:, 1] - 1).clamp_min(0)
    for n_tokens in (105, 1005, 100005):
        budget = 6 * 5 + 6 * (n_tokens - 5) // 10
        counts = LUKV().allocate(ask(budget, n_tokens=n_tokens, curve=curve))[:, 0]
        assert counts[2].tolist() == [5, 5]
        assert int(counts[1].min()) > 5


def test_every_head_keeps_its_protected_tokens_alone_where_nothing_else_is_there(ask: Ask, rising_curve: Curve) -> None:
    request = ask(6 * 5, n_tokens=5, curve=rising_curve(3, 2, 6))
    assert (LUKV().allocate(request) == 5).all()
