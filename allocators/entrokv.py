"""EntroKV-style budgets."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..scorers.base import LayerView, Reads
from ..scorers.observation import observe
from ..scorers.pooling import check_window
from .base import AllocationRequest, Needs
from .preferences import measured, proportional_counts


@dataclass(frozen=True)
class EntroKV:
    """Gives each head a part in proportion to the entropy of its attention.

    n_(l,h) = floor x mean + (1 - floor) x E_(l,h) x the model's budget / sum of E, with
    E_(l,h) = mean over the group and the last w queries of the entropy of their attention to the tokens before them

    Source: the idea of Gao et al., "EntroKV: Entropy-Guided Dynamic Budget Allocation for KV-Cache Compression", ICML
    2026 (PMLR v306, gao26a): heads of high entropy need more, those of low entropy can be compressed.
    Differs from the paper: only its abstract could be had. That shares are proportional to the entropy, the window and
    the floor are ours, so this is a control in its style, not a reproduction. The rest of a query's attention, to the
    window itself, is left out and the weights are not rescaled. Protected tokens come on top of each head's part and
    inside the budget.

    Attributes:
        window: Number of last queries that are used.
        floor: Share of the budget that all heads get alike, 0 to 1.
    """

    window: int = 32
    floor: float = 0.2

    source: ClassVar[str] = "ICML 2026 (PMLR v306, gao26a), its idea"
    needs: ClassVar[Needs] = Needs.MEASURES

    def __post_init__(self) -> None:
        check_window(self.window)
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor is a share from 0 to 1, not {self.floor}")

    @property
    def reads(self) -> Reads:
        """The window's queries."""
        return Reads(queries=self.window)

    def measure(self, layer: LayerView) -> Tensor:
        """float32 [B, H, 1]."""
        seen = observe(layer, self.window)
        before = seen.weights[..., : seen.n_before]
        return -(before * before.clamp_min(1e-30).log()).sum(dim=-1).mean(dim=(2, 3)).unsqueeze(-1)

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H]."""
        return proportional_counts(request, measured(request)[..., 0].clamp_min(0), self.floor)
