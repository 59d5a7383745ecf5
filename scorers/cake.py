"""CAKE's ranking of tokens."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from .attention import on_top
from .base import LayerView, Protection, Reads
from .observation import observe
from .pooling import check_sizes, pooled


@dataclass(frozen=True)
class Cake:
    """Keeps what the last queries attended to on average, and what their attention to changed most.

    score_j = mean over the group of pool_i( mean over the last w queries of p_i + gamma x their variance ), j before
    the window; the window itself is ranked first.

    Source: Qin et al., "CAKE: Cascading and Adaptive KV Cache Eviction with Layer Preferences", arXiv 2503.12491,
    section 4 (eviction indicator); defaults of the authors' code: 32 queries, gamma 200, average pooling over 5.
    Sink 4 and a protected window as long as the observation window, as SnapKV.
    Differs from the paper: scored once at the end of the context. The variance is that of the authors' code, with
    w - 1 in the denominator; a window of one query has none.

    Attributes:
        window: Number of last queries that are used.
        gamma: Weight of the variance.
        kernel: Tokens that are pooled together, odd.
        pool: max or avg.
    """

    window: int = 32
    gamma: float = 200.0
    kernel: int = 5
    pool: Literal["max", "avg"] = "avg"

    source: ClassVar[str] = "arXiv 2503.12491 (ICLR 2025)"

    def __post_init__(self) -> None:
        """Refuse sizes out of range."""
        check_sizes(self.window, self.kernel)
        if not 0 <= self.gamma <= 1e6:
            raise ValueError(f"gamma is from 0 to a million, not {self.gamma}")

    @property
    def reads(self) -> Reads:
        """The window's queries."""
        return Reads(queries=self.window)

    @property
    def protection(self) -> Protection:
        """Sink 4 and the observation window."""
        return Protection(sink=4, window=self.window)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], at least 0."""
        seen = observe(layer, self.window)
        n_queries = seen.weights.shape[3]
        before = seen.weights[..., : seen.n_before]
        votes = before.mean(dim=3)
        if n_queries > 1 and seen.n_before > 0:
            votes = votes + self.gamma * before.var(dim=3)
        return on_top(pooled(votes, self.kernel, self.pool).mean(dim=2), before=0, after=n_queries)
