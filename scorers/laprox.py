"""LaProx."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..kernels.projected_norm import projected_norm
from .attention import on_top
from .base import LayerView, Protection, Reads
from .observation import observe
from .pooling import check_sizes, pooled


@dataclass(frozen=True)
class LaProx:
    """Keeps the tokens with the largest share in the layer's output, comparable over heads and layers.

    score_j = share of the layer's sum, over its heads and tokens, of
              mean over the group of ||A_:j||_2 ||W_O v_j||_2, smoothed over neighbours

    where A_:j are the weights that the last w queries give token j. The product of the norms is that of a column of A
    and a row of V W_O, by which columns are sampled when the matrix product A (V W_O) is approximated with few of them.
    The window itself is ranked first.

    Source: Mai, Kim, "Reformulating KV Cache Eviction Problem for Long-Context LLM Inference", arXiv 2605.07234,
    algorithms 1 and 2: 32 queries, average pooling over 7, scores divided by their layer's sum. Its model-wide
    selection is `--allocator global --scorer laprox`, that inside a layer `--allocator adakv:alpha=0`, head by head
    `--allocator uniform`.
    Sink 4 and a protected window as long as the observation window, as SnapKV.
    Differs from the paper: no code was published, and this is rebuilt from the paper's definition as two independent
    projects restate it. How the heads of a group are combined with the output projection is not fully defined there;
    here it is the mean of their complete scores. Whether pooling comes before or after the product is not known; here
    it is after it. The window's tokens take no part in the layer's sum.

    Attributes:
        window: Number of last queries that are used.
        kernel: Tokens that are pooled together, odd.
        pool: max or avg.
    """

    window: int = 32
    kernel: int = 7
    pool: Literal["max", "avg"] = "avg"

    source: ClassVar[str] = "arXiv 2605.07234"

    def __post_init__(self) -> None:
        """Refuse sizes out of range."""
        check_sizes(self.window, self.kernel)

    @property
    def reads(self) -> Reads:
        """The window's queries and the output projection."""
        return Reads(queries=self.window, output_weight=True)

    @property
    def protection(self) -> Protection:
        """Sink 4 and the observation window."""
        return Protection(sink=4, window=self.window)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], in [0, 1] before the window."""
        if layer.output_weight is None:
            raise ValueError("LaProx was given no output projection")
        seen = observe(layer, self.window)
        columns = torch.linalg.vector_norm(seen.weights[..., : seen.n_before], dim=3)
        values = layer.values[:, :, : seen.n_before]
        rows = projected_norm(values, layer.output_weight, backend=layer.backend).view_as(columns)
        shares = pooled((columns * rows).mean(dim=2), self.kernel, self.pool)
        total = shares.sum(dim=(1, 2), keepdim=True)
        shares = torch.where(total > 0, shares / total, 0)
        return on_top(shares, before=0, after=seen.weights.shape[3])
