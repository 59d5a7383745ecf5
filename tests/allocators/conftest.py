"""Requests for keep counts."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lukv_bench.allocators.base import AllocationRequest
from lukv_bench.scorers.base import Profile, Protection

SINKS = Protection(sink=4, window=1)


@pytest.fixture(scope="session")
def ask() -> Callable[..., AllocationRequest]:
    """A request over all layers of a made-up model."""

    def ask(
        budget: int,
        n_layers: int = 3,
        n_heads: int = 2,
        n_tokens: int = 50,
        n_batch: int = 1,
        protection: Protection = SINKS,
        curve: Tensor | None = None,
    ) -> AllocationRequest:
        return AllocationRequest(
            layers=tuple(range(n_layers)),
            n_layers=n_layers,
            n_batch=n_batch,
            n_kv_heads=n_heads,
            n_tokens=n_tokens,
            budget=budget,
            protected=protection.mask(n_tokens),
            profile=None if curve is None else Profile(kind="lukv", arrays={"curve": curve}),
        )

    return ask


@pytest.fixture(scope="session")
def rising_curve() -> Callable[[int, int, int], Tensor]:
    """A curve [99, L, H] as a fit gives it: nested, and the mean at p% pruned is 1 - p / 100."""

    def rising_curve(n_layers: int, n_heads: int, seed: int) -> Tensor:
        made = torch.Generator().manual_seed(seed)
        n = n_layers * n_heads
        heads = torch.arange(n).repeat_interleave(100)  # each head has a hundred percents to lose
        strength = (torch.rand(n, generator=made) * 4)[heads]
        lost = heads[(torch.rand(n * 100, generator=made) ** strength).argsort()]
        left = [100 - torch.bincount(lost[: n * target], minlength=n) for target in range(1, 100)]
        return (torch.stack(left).double() / 100).view(99, n_layers, n_heads)

    return rising_curve
