"""The logical positions that the slots of a store hold."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .select import Kept


@dataclass(frozen=True)
class Positions:
    """The positions that a store held when it was made or last reduced by `keep`.

    Tokens appended since then have the following positions, the same in every head of a row. Only their number is
    needed, which is the difference of two lengths.

    Attributes:
        mask: bool [B, H, T], True where a head holds a position.
        n_positions: int64 [B] on the CPU, positions that each row had counted, including evicted ones.
        lengths: int64 [B, H] on the CPU, the lengths at that time of the segments that tokens are appended to.
    """

    mask: Tensor
    n_positions: Tensor
    lengths: Tensor

    @classmethod
    def of_context(cls, mask: Tensor, lengths: Tensor) -> "Positions":
        """The positions of a new store over T positions."""
        return cls(mask, torch.full((len(mask),), mask.shape[-1]), lengths)

    def appended(self, lengths: Tensor) -> Tensor:
        """int64 [B]: tokens appended since then, given the segments' present lengths."""
        return (lengths - self.lengths)[:, 0]

    def now(self, lengths: Tensor) -> Kept:
        """All held positions, up to the last of the longest row; given the segments' lengths."""
        ends = self.n_positions + self.appended(lengths)
        columns = torch.arange(int(ends.max()))
        new = (columns >= self.n_positions.unsqueeze(-1)) & (columns < ends.unsqueeze(-1))
        old = functional.pad(self.mask, (0, len(columns) - self.mask.shape[-1]))
        return Kept.of_mask(old | new.unsqueeze(1).to(old.device))

    def reduced(self, kept: Kept, lengths: Tensor, reduced_lengths: Tensor) -> "Positions":
        """The held positions after some were dropped; given the segments' lengths before and after."""
        return Positions(kept.mask, self.n_positions + self.appended(lengths), reduced_lengths)

    def take_rows(self, rows: Tensor) -> "Positions":
        """The positions of some rows, int64 [B'] on the CPU."""
        return Positions(self.mask[rows.to(self.mask.device)], self.n_positions[rows], self.lengths[rows])

    def check_taken_back(self, n: Tensor, lengths: Tensor) -> None:
        """Refuse to take back more tokens than were appended since then; n is int64 [B].

        Raises:
            ValueError: a row has fewer appended tokens.
        """
        appended = self.appended(lengths)
        if bool((n < 0).any()) or bool((n > appended).any()):
            raise ValueError(f"rows that took in {appended.tolist()} tokens cannot take back {n.tolist()}")


def check_held(kept: Kept, held: Kept) -> None:
    """Refuse to keep positions that are not held.

    Raises:
        ValueError: `kept` has another shape, or positions beyond those held.
    """
    if kept.mask.shape != held.mask.shape:
        raise ValueError(f"a selection {list(kept.mask.shape)} of a store that holds {list(held.mask.shape)} positions")
    if bool((kept.mask & ~held.mask).any()):
        raise ValueError("a store cannot keep positions that it does not hold")
