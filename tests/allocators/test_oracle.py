"""The oracle allocation against every possible allocation, on tiny shapes."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from lukv_bench.allocators.base import AllocationRequest
from lukv_bench.allocators.oracle import Oracle
from lukv_bench.scorers.base import Protection

Ask = Callable[..., AllocationRequest]
N_LAYERS, H, T = 2, 2, 8
PROTECTION = Protection(1, 1)


def utility(scores: Tensor, future: Tensor, counts: tuple[int, ...]) -> float:
    """The importance that heads [L x H, T] keep: of their protected tokens and of the first by score."""
    protected, total = PROTECTION.mask(T), 0.0
    for head, n in enumerate(counts):
        ranked = sorted(range(T), key=lambda j, head=head: (not protected[j], -float(scores[head, j]), j))
        total += sum(float(future[head, j]) for j in ranked[:n])
    return total


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("budget", [8, 13, 20, 29, 32])
def test_no_counts_keep_more_of_the_future_where_the_scorer_ranks_as_it_will_be(
    ask: Ask, seed: int, budget: int
) -> None:
    """Then every head's utility is concave, and the hull is the utility itself."""
    made = torch.Generator().manual_seed(seed)
    future = torch.rand(N_LAYERS, 1, H, T, generator=made).pow(torch.rand(N_LAYERS, 1, H, 1, generator=made) * 6)
    request = ask(budget, n_layers=N_LAYERS, n_heads=H, n_tokens=T, protection=PROTECTION)
    scores = future.log()
    counts = Oracle().allocate(replace(request, scores=scores, future=future))
    flat = scores.reshape(-1, T), future.double().reshape(-1, T)
    every = (each for each in product(range(2, T + 1), repeat=N_LAYERS * H) if sum(each) == budget)
    best = max(utility(*flat, each) for each in every)
    assert utility(*flat, tuple(counts.flatten().tolist())) == pytest.approx(best, abs=1e-6)


def test_a_head_that_the_scorer_ranks_wrongly_gets_slots_up_to_what_matters(ask: Ask) -> None:
    """Its important token stands sixth: less than that is of no use, and by the hull all six are worth a sixth each."""
    future = torch.zeros(2, 1, 1, 10)
    future[0, 0, 0, 5] = 6.0
    future[1, 0, 0, :] = 0.9
    scores = -torch.arange(10.0).expand(2, 1, 1, 10).contiguous()
    request = ask(10, n_layers=2, n_heads=1, n_tokens=10, protection=Protection(0, 0))
    counts = Oracle().allocate(replace(request, scores=scores, future=future))
    assert counts.flatten().tolist() == [6, 4]


def test_without_a_future_there_is_nothing_to_allocate_by(ask: Ask) -> None:
    with pytest.raises(ValueError, match="without scores and future"):
        Oracle().allocate(ask(100))
