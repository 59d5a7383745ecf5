"""The full cache."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .. import UserError
from .base import AllocationRequest, Needs


@dataclass(frozen=True)
class Full:
    """Keeps everything: the reference without eviction; takes no scorer and no budget."""

    source: ClassVar[str] = "the model itself"
    needs: ClassVar[Needs] = Needs.NOTHING

    def check(self, request: AllocationRequest) -> None:
        """Refuse a budget below the whole cache, which only an allocator around this one can request.

        Raises:
            UserError: the budget is smaller than the cache.
        """
        if request.budget != request.n_heads * request.n_tokens:
            raise UserError("the full cache keeps everything and serves no budget; name an allocator that evicts.")

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H], T everywhere."""
        return torch.full(request.shape, request.n_tokens, dtype=torch.int64)
