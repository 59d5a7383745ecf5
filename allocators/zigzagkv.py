"""ZigZagKV."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..scorers.base import LayerView, Reads
from ..scorers.observation import observe
from ..scorers.pooling import check_window
from .base import AllocationRequest, Needs
from .preferences import measured, proportional_counts


@dataclass(frozen=True)
class ZigZagKV:
    """Gives more to layers that need more tokens to hold most of their attention; heads of a layer are equal.

    n_l = bound + (mean - bound) x L x U_l, with bound = floor x mean and
    U_l = the layer's share of the sum over layers of M_l, the tokens that hold `mass` of the attention of the last w
          queries, averaged over the layer's heads

    Source: Zhong et al., "ZigZagKV: Dynamic KV Cache Compression for Long-context Modeling based on Layer Uncertainty",
    arXiv 2412.09036 (COLING 2025), equation 6 and the minimum budget that maintains attention (LMBA).
    Differs from the paper: no code was published. The attention is the mean over the window's queries and a group's
    query heads, to the tokens before the window; mass, window and floor are ours (the paper's threshold and lower bound
    could not be had). Protected tokens come on top of each head's part and inside the budget, and no head keeps more
    than there are.

    Attributes:
        mass: Share of the attention to hold, above 0 and at most 1.
        window: Number of last queries that are used.
        floor: Share of the mean budget that every layer gets, 0 to 1.
    """

    mass: float = 0.9
    window: int = 32
    floor: float = 0.5

    source: ClassVar[str] = "arXiv 2412.09036 (COLING 2025)"
    needs: ClassVar[Needs] = Needs.MEASURES

    def __post_init__(self) -> None:
        check_window(self.window)
        if not 0 < self.mass <= 1:
            raise ValueError(f"mass is a share above 0 and at most 1, not {self.mass}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor is a share from 0 to 1, not {self.floor}")

    @property
    def reads(self) -> Reads:
        """The window's queries."""
        return Reads(queries=self.window)

    def measure(self, layer: LayerView) -> Tensor:
        """float32 [B, H, 1]: the fewest tokens that hold the mass; 0 where no token is before the window."""
        seen = observe(layer, self.window)
        mean = seen.weights[..., : seen.n_before].mean(dim=(2, 3))
        if not seen.n_before:
            return mean.new_zeros(*mean.shape[:2], 1)
        held = mean.sort(dim=-1, descending=True).values.cumsum(dim=-1)
        n_fewer = (held[..., :-1] < self.mass * held[..., -1:]).sum(dim=-1, keepdim=True)
        return (n_fewer + 1).float()

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H]."""
        of_layer = measured(request)[..., 0].mean(dim=2, keepdim=True)
        return proportional_counts(request, of_layer.expand(request.shape), self.floor)
