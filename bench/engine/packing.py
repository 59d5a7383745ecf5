"""The chunks of several rows as one line of tokens, so that no padding passes through a model."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """B chunks of different lengths, one behind the other in a line of N tokens; Q is the longest.

    Attributes:
        lengths: int64 [B] on the CPU, tokens of each chunk.
        ends: int64 [B] on the CPU, where each chunk ends in the line.
        longest: Q.
        is_level: Whether all chunks have Q tokens.
    """

    lengths: Tensor
    ends: Tensor = field(init=False)
    longest: int = field(init=False)
    is_level: bool = field(init=False)

    def __post_init__(self) -> None:
        lengths = self.lengths.tolist()
        object.__setattr__(self, "ends", self.lengths.cumsum(0))
        object.__setattr__(self, "longest", max(lengths))
        object.__setattr__(self, "is_level", min(lengths) == max(lengths))

    @classmethod
    def of(cls, chunks: Sequence[Sequence[int]]) -> "Packing":
        """The packing of chunks of token ids."""
        return cls(torch.tensor([len(chunk) for chunk in chunks]))

    def spread(self, line: Tensor) -> Tensor:
        """[1, X, N, D] -> [B, X, Q, D], in which a shorter chunk repeats its last token."""
        if len(self.lengths) == 1:
            return line
        if self.is_level:
            return line[0].view(line.shape[1], len(self.lengths), self.longest, -1).transpose(0, 1)
        last = self.lengths.clamp_min(1) - 1
        places = (self.ends - self.lengths).unsqueeze(-1) + torch.minimum(
            torch.arange(self.longest), last.unsqueeze(-1)
        )
        return line[0][:, places.clamp_max(line.shape[2] - 1).to(line.device)].transpose(0, 1)

    def join(self, rows: Tensor) -> Tensor:
        """[B, Q, X, D] -> [1, N, X, D]; what is past a chunk's length is left out."""
        if len(self.lengths) == 1:
            return rows
        flat = rows.flatten(0, 1)
        if self.is_level:
            return flat.unsqueeze(0)
        real = torch.arange(rows.shape[1]) < self.lengths.unsqueeze(-1)
        return flat[real.flatten().nonzero()[:, 0].to(rows.device)].unsqueeze(0)

    def lines(self, flat: Tensor) -> Tensor:
        """[N] -> [1, N], as the model is fed."""
        return flat.unsqueeze(0)

    def continued(self, n_before: Tensor) -> Tensor:
        """int64 [N] on the CPU: the position of each token where row b has `n_before[b]` tokens before its chunk."""
        return _counted(n_before, self.lengths)

    def last(self, n: Sequence[int]) -> Tensor:
        """int64 [sum of n] on the CPU: the places of the last n[b] tokens of each chunk, chunk after chunk."""
        counts = torch.tensor(n)
        return _counted(self.ends - counts, counts)


class Apart(Packing):
    """B chunks of equally many tokens, a line each: a recurrent state passes from one token of a line to the next.

    Raises:
        ValueError: the chunks differ in length.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.is_level:
            raise ValueError("chunks of a model with recurrent states have equally many tokens in every row")

    def spread(self, line: Tensor) -> Tensor:
        """[B, X, Q, D], as it is."""
        return line

    def join(self, rows: Tensor) -> Tensor:
        """[B, Q, X, D], as it is."""
        return rows

    def lines(self, flat: Tensor) -> Tensor:
        """[B x Q] -> [B, Q], as the model is fed."""
        return flat.view(len(self.lengths), self.longest)

    def last(self, n: Sequence[int]) -> Tensor:
        """int64 [n] on the CPU: the places of the last n tokens in each line.

        Raises:
            ValueError: they are not equally many in every row.
        """
        if min(n) != max(n):
            raise ValueError("rows of a model with recurrent states have logits after equally many tokens")
        return torch.arange(self.longest - n[0], self.longest)


def _counted(starts: Tensor, counts: Tensor) -> Tensor:
    """int64 [sum of counts]: for each b the `counts[b]` numbers from `starts[b]` on."""
    before = counts.cumsum(0) - counts
    return torch.arange(int(counts.sum())) + (starts - before).repeat_interleave(counts)
