"""DropKV."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from .attention import on_top
from .base import LayerView, Protection, Reads
from .observation import observe
from .pooling import check_sizes, pooled

EPSILON = 1e-6
"""Added to 1 - p, which is 0 where a query attends to one token alone."""


@dataclass(frozen=True)
class DropKV:
    """Keeps the tokens whose removal alone would change the outputs of the context's last queries most.

    score_j = mean over the group of sum over the last w queries i of (p_ij / (1 - p_ij))^2 ||v_j - o_i||^2

    with p the attention weights and o_i = sum_j p_ij v_j: the squared change of o_i when token j is left out and the
    other weights are rescaled, exactly. The largest score of `kernel` neighbours counts; the window is ranked first.

    Source: Zhang et al., "DropKV", openreview.net MqfNzH3TVH, its lemma on a single token and algorithm 1, with the
    paper's defaults: 8 queries, max pooling over 11. The authors' pull request to kvpress has
    window=32,kernel=7,pool=avg.
    Sink 4 and a protected window as long as the observation window, as SnapKV.
    Differs from the paper: it does not say how the heads of a group are combined; the mean is that of the authors' pull
    request.

    Attributes:
        window: Number of last queries that are used.
        kernel: Tokens that are pooled together, odd.
        pool: max or avg.
    """

    window: int = 8
    kernel: int = 11
    pool: Literal["max", "avg"] = "max"

    source: ClassVar[str] = "openreview.net MqfNzH3TVH"

    def __post_init__(self) -> None:
        """Refuse sizes out of range."""
        check_sizes(self.window, self.kernel)

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
        weights = seen.weights.double()
        change = (weights / (1 - weights + EPSILON)).square_() * seen.squared_distances()
        scores = pooled(change.sum(dim=3).mean(dim=2).float(), self.kernel, self.pool)
        return on_top(scores[..., : seen.n_before], before=0, after=seen.weights.shape[3])
