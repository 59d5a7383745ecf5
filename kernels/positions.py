"""Which logical positions the slots of a store hold."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .select import Kept


@dataclass(frozen=True)
class Positions:
    """The positions that a store held when it was made or last reduced by `keep`.

    The tokens appended since then took the positions that follow, the same in every head of a row, so that none is
    recorded per token: how many there are is the difference of two lengths.

    Attributes:
        mask: bool [B, H, T], True where a head holds a position.
        n_positions: int64 [B] on the CPU, positions that each row had counted, evicted ones included.
        lengths: int64 [B, H] on the CPU, what the segments were long that tokens are appended to.
    """

    mask: Tensor
    n_positions: Tensor
    lengths: Tensor

    @classmethod
    def of_context(cls, mask: Tensor, lengths: Tensor) -> "Positions":
        """Of a store that was just made over T positions."""
        return cls(mask, torch.full((len(mask),), mask.shape[-1]), lengths)

    def appended(self, lengths: Tensor) -> Tensor:
        """int64 [B]: tokens appended since then, from the segments' present lengths."""
        return (lengths - self.lengths)[:, 0]

    def now(self, lengths: Tensor) -> Kept:
        """All that is held, over as many positions as the longest row has counted; from the segments' lengths."""
        ends = self.n_positions + self.appended(lengths)
        columns = torch.arange(int(ends.max()))
        new = (columns >= self.n_positions.unsqueeze(-1)) & (columns < ends.unsqueeze(-1))
        old = functional.pad(self.mask, (0, len(columns) - self.mask.shape[-1]))
        return Kept.of_mask(old | new.unsqueeze(1).to(old.device))

    def reduced(self, kept: Kept, lengths: Tensor, reduced_lengths: Tensor) -> "Positions":
        """What is held when some of it was dropped; from the segments' lengths before and after."""
        return Positions(kept.mask, self.n_positions + self.appended(lengths), reduced_lengths)

    def take_rows(self, rows: Tensor) -> "Positions":
        """Of some rows, int64 [B'] on the CPU."""
        return Positions(self.mask[rows.to(self.mask.device)], self.n_positions[rows], self.lengths[rows])

    def check_taken_back(self, n: Tensor, lengths: Tensor) -> None:
        """Refuse to take back what was not appended since then; n is int64 [B].

        Raises:
            ValueError: with both counts.
        """
        appended = self.appended(lengths)
        if bool((n < 0).any()) or bool((n > appended).any()):
            raise ValueError(f"rows that took in {appended.tolist()} tokens cannot take back {n.tolist()}")


def check_held(kept: Kept, held: Kept) -> None:
    """Refuse to keep what is not held.

    Raises:
        ValueError: `kept` has another shape, or positions beyond those held.
    """
    if kept.mask.shape != held.mask.shape:
        raise ValueError(f"a selection {list(kept.mask.shape)} of a store that holds {list(held.mask.shape)} positions")
    if bool((kept.mask & ~held.mask).any()):
        raise ValueError("a store cannot keep positions that it does not hold")
