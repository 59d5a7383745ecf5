"""The uniform allocator."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .apportion import apportion
from .base import AllocationRequest, Needs


@dataclass(frozen=True)
class Uniform:
    """Gives every KV head the same number of tokens: the baseline of every allocator.

    n = budget / heads

    Source: the budget rule of SnapKV, KeyDiff and the other scorers.
    Monotone: a larger budget never takes a slot from a head.
    """

    source: ClassVar[str] = "the scorers' own papers"
    needs: ClassVar[Needs] = Needs.NOTHING
    monotone: ClassVar[bool] = True

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H], budget / heads; a remainder goes to the first heads, one each."""
        ideal = torch.full((request.n_heads,), request.budget / request.n_heads, dtype=torch.float64)
        counts = apportion(ideal, request.budget, request.n_tokens)
        return counts.view(len(request.layers), 1, request.n_kv_heads).expand(request.shape).contiguous()
