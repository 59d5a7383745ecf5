"""Key norm."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import LayerView, Protection, Reads


@dataclass(frozen=True)
class KNorm:
    """Keeps the keys of the smallest norm, which later queries tend to attend to most.

    score_j = -||k_j||_2

    Source: Devoto, Zhao, Scardapane, Minervini, "A Simple and Effective L2 Norm-Based Strategy for KV Cache
    Compression", arXiv 2406.11430 (its section on the method).
    Sink 4 and window 1 by default, as LU-KV's attention-free scorers, so that methods differ only by their ranking.
    Differs from the paper: every layer is compressed, where the paper may leave the first layers whole.
    """

    source: ClassVar[str] = "arXiv 2406.11430"
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(sink=4, window=1)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], at most 0."""
        norms: Tensor = torch.linalg.vector_norm(layer.keys.float(), dim=-1)
        return -norms
