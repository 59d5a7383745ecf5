"""StreamingLLM."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import LayerView, Protection, Reads


@dataclass(frozen=True)
class StreamingLLM:
    """Keeps the first tokens and the most recent ones, whatever their content.

    score_j = j; the first n_sink tokens are ranked first.

    Source: Xiao et al., "Efficient Streaming Language Models with Attention Sinks", arXiv 2309.17453, section 3.2.
    n_sink 4 as in the paper and in kvpress; it is the default sink, too. Window 1 is enough, since the ranking itself
    keeps the recent tokens.
    Differs from the paper: applied once to a finished context; kept tokens keep their positions, where the paper
    counts positions inside the cache.

    Attributes:
        n_sink: First tokens that are kept.
    """

    n_sink: int = 4

    source: ClassVar[str] = "arXiv 2309.17453"
    reads: ClassVar[Reads] = Reads()

    def __post_init__(self) -> None:
        """Refuse a negative number."""
        if self.n_sink < 0:
            raise ValueError(f"n_sink is a number of tokens, 0 or more, not {self.n_sink}")

    @property
    def protection(self) -> Protection:
        """Its sinks, and the last token."""
        return Protection(sink=self.n_sink, window=1)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], whole numbers from 0 to T (exact up to 16 million tokens)."""
        n_batch, n_heads, n_tokens, _ = layer.keys.shape
        recency = torch.arange(n_tokens, dtype=torch.float32, device=layer.keys.device)
        recency[: self.n_sink] = n_tokens
        return recency.repeat(n_batch, n_heads, 1)
