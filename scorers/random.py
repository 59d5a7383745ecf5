"""Random ranking."""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import LayerView, Protection, Reads


@dataclass(frozen=True)
class Random:
    """Ranks at random: the control that every scorer must beat.

    score_j uniform in [0, 1), drawn on the CPU from a stream of the run's seed, the context and the layer, so that it
    depends neither on the device nor on earlier runs.

    Source: none; a control.
    Sink 4 and window 1 by default, as the other scorers, so that it does not measure the loss of the attention sink.
    """

    source: ClassVar[str] = "a control"
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(sink=4, window=1)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T]; the same in every row."""
        digest = hashlib.sha256(f"{layer.seed}/{layer.layer}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        drawn = torch.rand(layer.keys.shape[1:3], generator=generator, dtype=torch.float32)
        return drawn.to(layer.keys.device).repeat(layer.keys.shape[0], 1, 1)
