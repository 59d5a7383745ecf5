"""The control keeps how unequal heads are and loses which is which."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from lukv_bench import UserError
from lukv_bench.allocators.adakv import AdaKV
from lukv_bench.allocators.base import AllocationRequest, BudgetError, Needs, one_layer_each
from lukv_bench.allocators.global_scores import GlobalScores
from lukv_bench.allocators.lukv import LUKV
from lukv_bench.allocators.pyramidkv import PyramidKV
from lukv_bench.allocators.shuffled import Shuffled
from lukv_bench.allocators.uniform import Uniform

Ask = Callable[..., AllocationRequest]
L, B, H, T = 6, 2, 4, 50
EXPECTED = [25, 15, 5, 5, 25, 15]


@pytest.fixture
def request_(ask: Ask, rising_curve: Callable[..., Tensor]) -> AllocationRequest:
    asked = ask(L * H * 15, n_layers=L, n_heads=H, n_batch=B, curve=rising_curve(L, H, 0))
    spread = torch.rand(L, B, H, 1, generator=torch.Generator().manual_seed(1)) * 2
    scores = torch.rand(L, B, H, T, generator=torch.Generator().manual_seed(2)) * spread
    return replace(asked, scores=scores, seed=7)


def unshuffled(inner: AdaKV | GlobalScores | LUKV | PyramidKV, request: AllocationRequest) -> Tensor:
    if inner.needs is Needs.LAYER_SCORES:
        return torch.cat([inner.allocate(part) for part in one_layer_each(request)])
    return inner.allocate(request)


INNER = [AdaKV(), GlobalScores(), LUKV(), PyramidKV()]


@pytest.mark.parametrize("inner", INNER, ids=lambda inner: type(inner).__name__)
def test_counts_are_the_inner_ones_in_one_other_order_for_all_sequences(
    inner: AdaKV | GlobalScores | LUKV | PyramidKV, request_: AllocationRequest
) -> None:
    before = unshuffled(inner, request_).transpose(0, 1).flatten(1)
    after = Shuffled(inner).allocate(request_).transpose(0, 1).flatten(1)
    assert not torch.equal(before, after)
    assert torch.equal(before.sort().values, after.sort().values)
    pairs = [sorted(zip(*rows, strict=True)) for rows in (before.tolist(), after.tolist())]
    assert pairs[0] == pairs[1], "what one head has in both sequences, one head has after"


def test_heads_move_between_layers(request_: AllocationRequest) -> None:
    layers = Shuffled(AdaKV()).allocate(request_).sum(dim=2)
    assert (layers != layers[0, 0]).any(), "AdaKV alone gives every layer the same"


def test_the_seed_decides_the_order(request_: AllocationRequest) -> None:
    shuffled = [Shuffled(LUKV()).allocate(replace(request_, seed=seed)) for seed in (7, 7, 8, 2**62, -1)]
    assert torch.equal(shuffled[0], shuffled[1])
    assert len({tuple(counts.flatten().tolist()) for counts in shuffled}) == 4


def test_the_order_of_a_seed_is_for_good(ask: Ask) -> None:
    """Stored answers of a seed must stay what a new run would give: written down once."""
    counts = Shuffled(PyramidKV()).allocate(ask(6 * 15, n_tokens=100))
    assert counts.flatten().tolist() == EXPECTED


def test_reads_what_the_inner_one_needs() -> None:
    assert [Shuffled(inner).needs for inner in (LUKV(), AdaKV(), GlobalScores())] == [
        Needs.NOTHING,
        Needs.ALL_SCORES,
        Needs.ALL_SCORES,
    ]
    assert Shuffled(AdaKV()).monotone
    assert not Shuffled(LUKV()).monotone


def test_a_budget_that_the_inner_one_refuses_is_refused(ask: Ask) -> None:
    with pytest.raises(UserError, match="99%"):
        Shuffled(LUKV()).check(ask(6 * 5 + 1, n_tokens=1000))
    Shuffled(Uniform()).check(ask(6 * 5 + 1, n_tokens=1000))


def test_what_the_inner_one_notes_is_handed_on(ask: Ask) -> None:
    request = ask(6 * 40)
    noted = Shuffled(PyramidKV()).notes(request, Shuffled(PyramidKV()).allocate(request))
    assert noted == PyramidKV().notes(request, PyramidKV().allocate(request))
    assert noted[0]["event"] == "pyramid_flattened"
    assert Shuffled(Uniform()).notes(request, Uniform().allocate(request)) == ()


def test_inner_counts_that_break_the_budget_are_told(ask: Ask) -> None:
    @dataclass(frozen=True)
    class TooMuch:
        source: ClassVar[str] = "a test"
        needs: ClassVar[Needs] = Needs.NOTHING

        def allocate(self, request: AllocationRequest) -> Tensor:
            return Uniform().allocate(request) + 1

    with pytest.raises(BudgetError, match="budget"):
        Shuffled(TooMuch()).allocate(ask(90))
