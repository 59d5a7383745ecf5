"""Head budgets that are far apart, made up: from about 1% of the tokens to nearly all of them, as measured ones are."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from kernel_shapes import scaled
from torch import Tensor

from lukv_bench.allocators.base import AllocationRequest, Needs

SPREAD = 1.1
"""Standard deviation of the logarithms of the heads' shares."""


def very_unequal(n_layers: int, n_heads: int, n_tokens: int, total: int) -> Tensor:
    """int64 [L, H], `total` in sum, at least `kernel_shapes.PROTECTION` each; the same each time."""
    weights = torch.randn(n_layers, n_heads, generator=torch.Generator().manual_seed(0)).mul(SPREAD).exp().double()
    return scaled(weights, n_tokens, total)


@dataclass(frozen=True)
class VeryUnequal:
    """An allocator that gives these budgets, before anything is scored, as LU-KV does."""

    source: ClassVar[str] = "made up"
    needs: ClassVar[Needs] = Needs.NOTHING

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [L, 1, H]."""
        return very_unequal(request.n_layers, request.n_kv_heads, request.n_tokens, request.budget).unsqueeze(1)
