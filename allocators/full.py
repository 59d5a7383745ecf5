"""The full cache."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import AllocationRequest, Needs


@dataclass(frozen=True)
class Full:
    """Keeps everything: the reference that eviction is held against; takes no scorer and no budget."""

    source: ClassVar[str] = "the model itself"
    needs: ClassVar[Needs] = Needs.NOTHING

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H], T everywhere."""
        return torch.full(request.shape, request.n_tokens, dtype=torch.int64)
