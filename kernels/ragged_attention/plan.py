"""How the slots of very unequal segments are shared out over programs, ahead of time."""

from dataclasses import dataclass

import torch
from torch import Tensor

OPEN = 2**31 - 1
"""The stop of a segment's last item, which ends where the segment does."""


CUT = 16
"""Slots between two places where a segment may be cut. Finer than a tile of keys: a decode step waits for bytes."""


@dataclass(frozen=True)
class Plan:
    """Work items (segment, slots) in the order of the segments; each program has some that follow each other.

    It covers every slot whatever the lengths become, since the last item of each segment is open. Only the balance
    suffers as segments grow. Sizes depend on the numbers of programs P and segments S alone, so that a launch does not.

    Attributes:
        items: int32 [3, P + S]: segment, first slot within it, and where they stop. Those past the last are unused.
        of_program: int32 [P + 1], the first item of each program.
        of_segment: int32 [S + 1], the first item of each segment; each has at least one.
    """

    items: Tensor
    of_program: Tensor
    of_segment: Tensor

    @property
    def n_programs(self) -> int:
        """P."""
        return len(self.of_program) - 1

    def to(self, device: torch.device) -> "Plan":
        """The plan on a device, copied at once."""
        sizes = [self.items.numel(), len(self.of_program), len(self.of_segment)]
        parts = torch.cat([self.items.flatten(), self.of_program, self.of_segment])
        items, of_program, of_segment = parts.to(device, non_blocking=True).split(sizes)
        return Plan(items.view(3, -1), of_program, of_segment)


def balanced(lengths: Tensor, n_programs: int, block: int = CUT) -> Plan:
    """Give each program the same work.

    All segments are laid end to end, in blocks, with one more before each segment: the time of an item, whose queries
    are read and whose partial result is written. The line is cut at equal distances, so a program's share is within
    two blocks of the mean however unequal the segments are.

    Args:
        lengths: int64 [S] on the CPU, S >= 1.
        n_programs: P >= 1.
        block: Slots of a block; cuts lie between blocks.
    """
    blocks = (lengths.flatten() + block - 1).div(block, rounding_mode="floor") + 1
    ends = blocks.cumsum(0)
    total, starts = ends[-1], ends - blocks
    cuts = torch.arange(n_programs + 1) * total // n_programs
    within = cuts[:-1] - starts[torch.searchsorted(ends, cuts[:-1], right=True)]
    cuts[:-1] -= (within == 1).long()  # an item without a slot would take time for nothing
    bounds = torch.cat([starts, cuts]).unique()  # sorted, and the last is the total
    first, stop = bounds[:-1], bounds[1:]
    segment = torch.searchsorted(ends, first, right=True)
    slots = (torch.stack([first, stop]) - starts[segment] - 1).clamp_min(0) * block
    slots[1, stop == ends[segment]] = OPEN
    items = torch.zeros(3, n_programs + len(blocks), dtype=torch.int32)
    items[:, : len(first)] = torch.cat([segment.unsqueeze(0), slots])
    edges = torch.cat([starts, total.unsqueeze(0)])
    of_program, of_segment = (torch.searchsorted(bounds, at).to(torch.int32) for at in (cuts, edges))
    return Plan(items, of_program, of_segment)
