"""An allocator that fits a profile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lukv_bench.allocators.apportion import apportion
from lukv_bench.allocators.base import AllocationRequest, Needs
from lukv_bench.scorers.base import CalibrationDocument


@dataclass(frozen=True)
class HeadShare:
    """Gives each head the share of the evictable slots that it had of all importance.

    n = protected + share x rest, no head above T; what one head cannot hold goes to the others

    Source: nobody; it is the fixture of a test.
    Differs from the paper: there is none.

    Attributes:
        profile: A profile file; "" = the cached one for this model and scorer, made if missing.
        flatten: 0 = the shares as fitted, 1 = all equal.
    """

    profile: str = ""
    flatten: float = 0.1

    source: ClassVar[str] = "a test"
    needs: ClassVar[Needs] = Needs.NOTHING

    def fit(self, documents: tuple[CalibrationDocument, ...]) -> Mapping[str, Tensor]:
        """The shares: float64 [L, H], they sum to 1."""
        seen = torch.stack([document.importance.double().mean(dim=0).sum(dim=-1) for document in documents])
        shares = seen.mean(dim=0) / seen.mean(dim=0).sum()
        return {"shares": (1 - self.flatten) * shares + self.flatten / shares.numel()}

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H]."""
        assert request.profile is not None
        shares = request.profile.arrays["shares"][list(request.layers)].reshape(-1)
        room = request.n_tokens - request.n_protected
        rest = request.budget - request.n_heads * request.n_protected
        ideal = (shares / shares.sum() * rest).clamp(max=room)
        while float(rest - ideal.sum()) > 1e-6 and bool((open_ := ideal < room).any()):
            ideal += (rest - ideal.sum()) * shares * open_ / (shares * open_).sum()
            ideal = ideal.clamp(max=room)
        counts = apportion(ideal, rest, room) + request.n_protected
        return counts.view(len(request.layers), 1, request.n_kv_heads).expand(request.shape).contiguous()
