"""One ranking over several heads."""

import torch
from torch import Tensor


def first_protected(scores: Tensor, protected: Tensor) -> Tensor:
    """The scores with protected tokens above all others, as float32 [..., T]."""
    return scores.float().masked_fill(protected, torch.inf)


def pooled_counts(scores: Tensor, total: int) -> Tensor:
    """How many of the `total` best tokens of all heads together each head has.

    Equal scores go to the lower head. Inside a head only the count is returned; the selection decides which of equal
    tokens are kept. So the result does not depend on the sorting kernel.

    Args:
        scores: float32 [B, heads, T], higher = keep, no NaN.
        total: Tokens to keep in each sequence, 0 to heads x T.

    Returns:
        int64 [B, heads].
    """
    if total == 0:
        return torch.zeros(scores.shape[:2], dtype=torch.int64, device=scores.device)
    best = scores.flatten(1).topk(total, dim=1, sorted=False).values
    threshold = best.amin(dim=1).view(-1, 1, 1)
    above = (scores > threshold).sum(dim=-1)
    tied = (scores == threshold).sum(dim=-1)
    left = total - above.sum(dim=1, keepdim=True) - (tied.cumsum(dim=1) - tied)
    return above + left.clamp_min(0).minimum(tied)
