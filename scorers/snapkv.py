"""SnapKV."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from ..kernels.window_attention import window_attention
from .attention import on_top
from .base import LayerView, Protection, Reads
from .pooling import check_sizes, pooled


@dataclass(frozen=True)
class SnapKV:
    """Keeps what the last queries of the context attended to, smoothed over neighbours.

    score_j = mean over the group of pool_i( mean over the last w queries of softmax(q k_i / sqrt(D)) ), j before the
    window; the window itself is ranked first.

    The softmax is that of the model's attention: with its own scale, softcap and sinks where it has them.

    Source: Li et al., "SnapKV", arXiv 2404.14469, section 4.
    The defaults are those that LU-KV profiles and runs ("snapkv:4:32", kernel 7, max pooling), close to the authors'
    LongBench runs; kvpress's SnapKVPress is window=64,kernel=5,pool=avg.
    Sink 4 and a protected window as long as the observation window, as LU-KV uses it.
    Differs from the paper: query heads of a group are averaged, since they share the cached tokens, where the authors'
    code selects for each query head. Under the agnostic protocol the window sees the end of the context, not the
    question.

    Attributes:
        window: Number of last queries that are used; in a shorter context every token belongs to the window.
        kernel: Tokens that are pooled together, odd.
        pool: max or avg; avg counts positions outside the context as 0.
    """

    window: int = 32
    kernel: int = 7
    pool: Literal["max", "avg"] = "max"

    source: ClassVar[str] = "arXiv 2404.14469"

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
        if layer.queries is None:
            raise ValueError("SnapKV was given no queries")
        queries = layer.queries[:, :, -self.window :]
        votes = window_attention(queries, layer.keys, layer.form, backend=layer.backend)
        return on_top(pooled(votes, self.kernel, self.pool).mean(dim=2), before=0, after=queries.shape[2])
