"""The full cache."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .. import UserError
from .base import AllocationRequest, Needs


@dataclass(frozen=True)
class Full:
    """Keeps everything: the reference that eviction is held against; takes no scorer and no budget."""

    source: ClassVar[str] = "the model itself"
    needs: ClassVar[Needs] = Needs.NOTHING

    def check(self, request: AllocationRequest) -> None:
        """Refuse what evicts, which only another allocator around this one can ask for.

        Raises:
            UserError: the budget is smaller than the cache.
        """
        if request.budget != request.n_heads * request.n_tokens:
            raise UserError("the full cache keeps everything and serves no budget; name an allocator that evicts.")

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H], T everywhere."""
        return torch.full(request.shape, request.n_tokens, dtype=torch.int64)
