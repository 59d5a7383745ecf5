"""Selection of the kept positions in plain torch: the reference that any faster form must equal exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Kept:
    """The positions that every (row, KV head) of one layer keeps.

    Attributes:
        mask: bool [B, H, T], True where a position is kept.
        positions: int64 [N], segment after segment in the order (row, head), ascending inside each.
        offsets: int64 [B * H + 1] on the CPU, where each segment starts in `positions`; the last is N.
    """

    mask: Tensor
    positions: Tensor
    offsets: Tensor

    @classmethod
    def of_mask(cls, mask: Tensor) -> "Kept":
        """The selection that keeps the True positions of a mask [B, H, T]."""
        counts = mask.sum(dim=-1).reshape(-1).cpu()
        offsets = torch.zeros(len(counts) + 1, dtype=torch.int64)
        offsets[1:] = counts.cumsum(0)
        return cls(mask, mask.nonzero()[:, -1], offsets)

    def to(self, device: torch.device) -> "Kept":
        """The selection on the device of a layer."""
        return Kept(self.mask.to(device), self.positions.to(device), self.offsets)

    @property
    def counts(self) -> Tensor:
        """int64 [B, H]: positions that each head keeps."""
        return self.offsets.diff().view(self.mask.shape[:2])


def stack(rows: Sequence[Kept]) -> Kept:
    """Several selections over the same T positions as the rows of one batch, in order; one alone is not copied."""
    if len(rows) == 1:
        return rows[0]
    counts = torch.cat([row.offsets.diff() for row in rows])
    return Kept(
        mask=torch.cat([row.mask for row in rows]),
        positions=torch.cat([row.positions for row in rows]),
        offsets=torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)]),
    )


def rank(scores: Tensor, protected: Tensor) -> Tensor:
    """int64 [..., T]: how many positions of its head are kept before each one, whatever the count.

    Protected positions are kept first, then the best. Among equal scores the earlier position is kept first, so that
    the result does not depend on the sorting kernel.

    Args:
        scores: float32 [..., T], higher = keep, no NaN.
        protected: bool [T].
    """
    order = scores.argsort(dim=-1, descending=True, stable=True)
    first = protected[order]
    ranks = torch.where(first, first.cumsum(dim=-1), protected.sum() + (~first).cumsum(dim=-1)) - 1
    return torch.empty_like(ranks).scatter_(-1, order, ranks)


def keep_ranked(ranks: Tensor, counts: Tensor) -> list[Kept]:
    """Keep the first positions of every head.

    Args:
        ranks: int64 [L, B, H, T] or, for all B rows alike, [L, 1, H, T], as from `rank`.
        counts: int64 [L, B, H], 0 to T.

    Returns:
        A selection for each of the L layers.
    """
    n_layers, n_tokens = len(ranks), ranks.shape[-1]
    masks = ranks < counts.to(ranks.device).unsqueeze(-1)
    positions = masks.reshape(-1, n_tokens).nonzero()[:, 1].split(counts.sum(dim=(1, 2)).tolist())
    offsets = torch.zeros(n_layers, counts[0].numel() + 1, dtype=torch.int64)
    offsets[:, 1:] = counts.cpu().flatten(1).cumsum(dim=1)
    return [Kept(*layer) for layer in zip(masks, positions, offsets, strict=True)]
