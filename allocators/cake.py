"""CAKE's layer budgets."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..scorers.base import LayerView, Reads
from ..scorers.observation import observe
from ..scorers.pooling import check_window
from .base import AllocationRequest, Needs
from .preferences import measured, proportional_counts


@dataclass(frozen=True)
class Cake:
    """Gives more to layers whose attention is spread widely and shifts; heads of a layer are equal.

    n_l is proportional to P_l = H_l^(1/tau1) x V_l^(1/tau2), of the attention of the last w queries to the tokens
    before them: H_l its entropy, summed over queries and heads, V_l its variance over the queries, summed over tokens
    and heads.

    Source: Qin et al., "CAKE: Cascading and Adaptive KV Cache Eviction with Layer Preferences", arXiv 2503.12491 (ICLR
    2025), section 4 (layer preference). The authors choose tau1 and tau2 for each model and budget; the defaults are
    theirs for Llama-3.1-8B at 1,024 tokens, and their ranking of tokens is `--scorer cake`.
    Differs from the paper: decided once at the end of the context, not in a cascade during the prefill, which ends in
    the same budgets. The protected tokens come on top of each head's part and inside the budget, and no head keeps more
    than there are. A window of one query has no variance, and a context no longer than the window no preference: then
    layers are equal.

    Attributes:
        window: Number of last queries that are used.
        tau1: Exponent of the entropy, inverted; above 0.
        tau2: Exponent of the variance, inverted; above 0.
    """

    window: int = 32
    tau1: float = 1.6
    tau2: float = 0.4

    source: ClassVar[str] = "arXiv 2503.12491 (ICLR 2025)"
    needs: ClassVar[Needs] = Needs.MEASURES

    def __post_init__(self) -> None:
        check_window(self.window)
        for name in ("tau1", "tau2"):
            if not 0.05 <= getattr(self, name) <= 100:
                raise ValueError(f"{name} is from 0.05 to 100, not {getattr(self, name)}")

    @property
    def reads(self) -> Reads:
        """The window's queries."""
        return Reads(queries=self.window)

    def measure(self, layer: LayerView) -> Tensor:
        """float32 [B, H, 2]: entropy and variance of each KV head."""
        seen = observe(layer, self.window)
        before = seen.weights[..., : seen.n_before]
        entropy = -(before * (before + 1e-10).log()).sum(dim=(2, 3, 4))
        has_spread = before.shape[3] > 1 and before.shape[4] > 0
        spread = before.var(dim=3).sum(dim=(2, 3)) if has_spread else torch.zeros_like(entropy)
        return torch.stack([entropy, spread], dim=-1)

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H]."""
        entropy, spread = measured(request).sum(dim=2).clamp_min(0).unbind(dim=-1)
        preference = entropy ** (1 / self.tau1) * spread ** (1 / self.tau2)
        return proportional_counts(request, preference.unsqueeze(-1).expand(request.shape))
