"""The place of each (row, KV head) in a flat tensor of slots."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Segments:
    """One segment of slots per (row, KV head), all int64 [B, H] on the CPU, or a copy of that on a device.

    Segments do not overlap and are in the order (row, head).

    Attributes:
        starts: First slot of each segment.
        lengths: Slots in use, from the first on.
        capacities: Slots that belong to each segment.
    """

    starts: Tensor
    lengths: Tensor
    capacities: Tensor

    @classmethod
    def packed(cls, lengths: Tensor, capacities: Tensor) -> "Segments":
        """Segments that follow each other without gaps."""
        ends = capacities.reshape(-1).cumsum(0).view_as(capacities)
        return cls(ends - capacities, lengths, capacities)

    @property
    def overflow(self) -> bool:
        """Whether a segment is longer than its capacity."""
        return bool((self.lengths > self.capacities).any())

    @property
    def spare(self) -> Tensor:
        """int64 [B, H]: slots not in use."""
        return self.capacities - self.lengths

    def slots(self) -> Tensor:
        """int64 [sum of lengths]: the slots in use, segment after segment."""
        flat = self.lengths.reshape(-1)
        before = flat.cumsum(0) - flat
        within = torch.arange(int(flat.sum())) - before.repeat_interleave(flat)
        return self.starts.reshape(-1).repeat_interleave(flat) + within

    def next_slots(self, n: int) -> Tensor:
        """int64 [B, H, n]: the slots after those in use."""
        first = (self.starts + self.lengths).unsqueeze(-1)
        return first if n == 1 else first + torch.arange(n)

    def split(self, flat: Tensor) -> tuple[Tensor, ...]:
        """The slots in use of a tensor [S, ...], a view for each segment in the order (row, head)."""
        sizes, end = self._sizes
        return flat.split_with_sizes([*sizes, flat.shape[0] - end])[1::2]

    @cached_property
    def _sizes(self) -> tuple[list[int], int]:
        """The sizes of the gap before each segment and of its slots in use, and where the last one ends."""
        sizes, end = list[int](), 0
        for start, length in zip(self.starts.view(-1).tolist(), self.lengths.view(-1).tolist(), strict=True):
            sizes += [start - end, length]
            end = start + length
        return sizes, end

    def extended(self, n: Tensor) -> "Segments":
        """The segments, those of row b longer by n[b], int64 [B]; they may then overflow."""
        return Segments(self.starts, self.lengths + n.unsqueeze(-1), self.capacities)

    def shortened(self, n: Tensor) -> "Segments":
        """The segments, those of row b shorter by n[b], int64 [B], at most their lengths; the last slots are spare."""
        return Segments(self.starts, self.lengths - n.unsqueeze(-1), self.capacities)

    def to(self, device: torch.device, copy: bool = False) -> "Segments":
        """The segments on a device; what is copied is not waited for.

        Args:
            device: Where to.
            copy: Whether tensors that are there already are copied too.
        """
        parts = self.starts, self.lengths, self.capacities
        return Segments(*(part.to(device, non_blocking=True, copy=copy) for part in parts))

    def take_rows(self, rows: Tensor) -> "Segments":
        """The segments of some rows, int64, ascending; they stay where they are."""
        return Segments(self.starts[rows], self.lengths[rows], self.capacities[rows])
