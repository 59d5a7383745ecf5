"""How the slots of very unequal segments are shared out over programs, ahead of time."""

from dataclasses import dataclass

import torch
from torch import Tensor

OPEN = 2**31 - 1
"""The stop of a segment's last item, which ends where the segment does."""


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


def balanced(lengths: Tensor, n_programs: int, block: int) -> Plan:
    """Give each program the same number of blocks, one more or less.

    All segments are laid end to end and cut at n_programs - 1 equally spaced blocks, so a program's share is within one
    block of the mean however unequal the segments are.

    Args:
        lengths: int64 [S] on the CPU, S >= 1; an empty segment counts as one block.
        n_programs: P >= 1.
        block: Slots of a block.
    """
    blocks = (lengths.flatten() + block - 1).div(block, rounding_mode="floor").clamp_min(1)
    ends = blocks.cumsum(0)
    total, starts = ends[-1], ends - blocks
    cuts = torch.arange(n_programs + 1) * total // n_programs
    bounds = torch.cat([starts, cuts]).unique()  # sorted, and the last is the total
    first, stop = bounds[:-1], bounds[1:]
    segment = torch.searchsorted(ends, first, right=True)
    slots = torch.stack([first, stop]) - starts[segment]
    slots *= block
    slots[1, stop == ends[segment]] = OPEN
    items = torch.zeros(3, n_programs + len(blocks), dtype=torch.int32)
    items[:, : len(first)] = torch.cat([segment.unsqueeze(0), slots])
    edges = torch.cat([starts, total.unsqueeze(0)])
    of_program, of_segment = (torch.searchsorted(bounds, at).to(torch.int32) for at in (cuts, edges))
    return Plan(items, of_program, of_segment)
