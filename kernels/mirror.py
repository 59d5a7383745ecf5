"""The segments of a flat cache on the device that holds it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .segments import Segments


@dataclass
class Mirror:
    """What kernels read of the segments. The host does the same arithmetic on its own copy and never reads this one.

    Lengths change in place, so that a captured launch finds them again.

    Attributes:
        segments: int64 [B, H], on the device.
        chunk: int64 [B] on the CPU, tokens that each row appended last.
        new_lengths: int64 [B] on the device, the same.
    """

    segments: Segments
    chunk: Tensor
    new_lengths: Tensor

    @classmethod
    def of(cls, segments: Segments, device: torch.device) -> "Mirror":
        """A mirror of segments on the CPU."""
        chunk = torch.zeros(len(segments.starts), dtype=torch.int64)
        return cls(segments.to(device, copy=True), chunk, chunk.to(device, copy=True))

    def chunk_of(self, new_lengths: Tensor) -> Tensor:
        """int64 [B] on the device, given the same on the CPU; copied only if it is another than the last."""
        if not torch.equal(new_lengths, self.chunk):
            self.chunk = new_lengths.clone()
            self.new_lengths.copy_(self.chunk, non_blocking=True)
        return self.new_lengths

    def extend(self) -> None:
        """Count the tokens of the last chunk."""
        self.segments.lengths.add_(self.new_lengths.unsqueeze(-1))

    def set_lengths(self, lengths: Tensor) -> None:
        """Take over lengths, int64 [B, H] on the CPU."""
        self.segments.lengths.copy_(lengths, non_blocking=True)
