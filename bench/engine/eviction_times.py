"""When each token of a context that is read in blocks is evicted."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...kernels.select import Kept
from ..models.load import LoadedModel

NEVER = 2**31 - 1
"""The time of a token that is kept."""


@dataclass(frozen=True)
class EvictionTimes:
    """When each head evicts each token: the number of tokens that were read by then.

    Attributes:
        layers: int32 [1, H, T] of each layer that is evicted.
    """

    layers: list[Tensor]

    @classmethod
    def of(cls, loaded: LoadedModel, n_tokens: int) -> "EvictionTimes":
        """Those of a context of so many tokens of which nothing is evicted yet."""
        shape = 1, loaded.shape.n_kv_heads, n_tokens
        devices = loaded.layer_devices
        return cls([torch.full(shape, NEVER, dtype=torch.int32, device=device) for device in devices])

    def note(self, index: int, kept: Kept) -> None:
        """Note what a layer keeps of all tokens read so far."""
        n_read = kept.mask.shape[-1]
        times = self.layers[index][..., :n_read]
        times.masked_fill_(~kept.mask & (times == NEVER), n_read)

    def kept(self, index: int, n_read: int) -> Kept:
        """What a layer keeps once so many tokens are read."""
        return Kept.of_mask(self.layers[index][..., :n_read] > n_read)
