"""A scorer that needs queries."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lukv_bench.scorers.base import LayerView, Protection, Reads

LOOKS = 8


@dataclass(frozen=True)
class LastLook:
    """Keeps what the last eight queries point at most.

    score_j = max over the last 8 queries and the group's query heads of temperature x q . k_j / sqrt(D)

    Source: nobody; it is the fixture of a test.
    Differs from the paper: there is none.

    Attributes:
        temperature: Scales the scores, which changes no ranking.
    """

    temperature: float = 1.0

    source: ClassVar[str] = "a test"
    reads: ClassVar[Reads] = Reads(queries=LOOKS)
    protection: ClassVar[Protection] = Protection(sink=2, window=3)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T]."""
        n_batch, n_heads, n_tokens, dim = layer.keys.shape
        assert layer.queries is not None
        assert layer.hidden_states is None, "was not asked for"
        assert layer.queries.shape[2] == min(LOOKS, n_tokens)
        grouped = layer.queries.float().reshape(n_batch, n_heads, -1, dim)
        return self.temperature * (grouped @ layer.keys.float().mT / dim**0.5).amax(dim=2)
