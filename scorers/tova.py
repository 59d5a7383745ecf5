"""TOVA."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .attention import attention, on_top
from .base import LayerView, Protection, Reads


@dataclass(frozen=True)
class TOVA:
    """Keeps what the last token attended to, the same tokens in every head of a layer.

    score_j = mean over all query heads of softmax(q_T k_j / sqrt(D)); the last token is ranked first.

    The softmax is that of the model's attention: with its own scale, softcap and sinks where it has them.

    Source: Oren, Hassid, Yarden, Adi, Schwartz, "Transformers are Multi-State RNNs", arXiv 2401.06104 (its section on
    the TOVA policy).
    Sink 4 and window 1 by default, as LU-KV's attention-free scorers, so that methods differ only by their ranking.
    Differs from the paper: scored once at the end of the context, where the paper drops a token at every step; the
    last token is never dropped (as in kvpress).
    """

    source: ClassVar[str] = "arXiv 2401.06104"
    reads: ClassVar[Reads] = Reads(queries=1)
    protection: ClassVar[Protection] = Protection(sink=4, window=1)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], at least 0, the same for every head."""
        if layer.queries is None:
            raise ValueError("TOVA needs queries")
        n_tokens, n_heads = layer.keys.shape[2], layer.keys.shape[1]
        weights = attention(layer, layer.queries[:, :, -1:], n_tokens)[..., 0, :-1]
        return on_top(weights.flatten(1, 2).mean(dim=1, keepdim=True), before=0, after=1).repeat(1, n_heads, 1)
