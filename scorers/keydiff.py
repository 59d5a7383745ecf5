"""KeyDiff."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..kernels.keydiff import keydiff
from .base import LayerView, Protection, Reads


@dataclass(frozen=True)
class KeyDiff:
    """Keeps the keys that point least along the head's mean key direction.

    score_j = -cos(k_j, mean over i of k_i / ||k_i||)

    Source: Park et al., "KeyDiff", arXiv 2504.15364, section 3.
    Sink 4 and window 1 by default, as LU-KV uses it (its curve generation: "keydiff:4:1").
    Differs from the paper: scored once over the whole context (as LU-KV profiles and uses it) unless told otherwise;
    --schedule block:128 --sink 0 --window 0 is the paper's, which evicts after every block of 128 tokens and protects
    none, but that question and answer are never evicted here. kvpress's BlockPress is neither: it prunes block by block
    what one full forward pass has made.
    """

    source: ClassVar[str] = "arXiv 2504.15364"
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(sink=4, window=1)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], in [-1, 1] up to rounding."""
        return keydiff(layer.keys, backend=layer.backend)
