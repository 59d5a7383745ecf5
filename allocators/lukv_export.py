"""Converts LU-KV's profile for kvpress."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .. import UserError
from ..scorers.base import Profile, Protection
from .base import AllocationRequest
from .lukv import LUKV, TARGETS


def kvpress_ratios(profile: Profile, n_tokens: int, protection: Protection) -> NDArray[np.float64]:
    """Prune ratios with which kvpress's LUKVPress masks exactly what LUKV evicts of a context of one length.

    kvpress (0.5.5) stores the ratio of all tokens that a head prunes, and reads row round(100 x ratio) - 1. Our curves
    are shares of the evictable tokens with the protected ones on top, so the ratios hold for one length; at others
    kvpress's counts drift with the protected share. Each ratio is 1 - count / T of a whole count: then the layer
    totals and remainders that kvpress rounds (in float32) are whole up to noise, and rounding finds the counts again.

    Two things cannot be expressed in that format. A row is NaN where LUKV refuses the budget (fewer tokens than are
    protected, or beyond the curve's last target); kvpress fails on it ("cannot convert float NaN to integer") and
    evicts nothing silently. A head that LUKV leaves empty, which takes a protection of 0, has the ratio 1, and
    kvpress keeps one token of it, over the budget.

    Args:
        profile: Made by LUKV, with its curve [99, L, H].
        n_tokens: T, the context's length.
        protection: As given to LUKVPress (`sink`, `window`).

    Returns:
        float64 [99, L, H]; row i is the target ratio (i + 1) / 100 of all tokens.

    Raises:
        UserError: no target can be served at this length.
    """
    _, n_layers, n_heads = profile.arrays["curve"].shape
    request = AllocationRequest(
        layers=tuple(range(n_layers)),
        n_layers=n_layers,
        n_batch=1,
        n_kv_heads=n_heads,
        n_tokens=n_tokens,
        budget=0,
        protected=protection.mask(n_tokens),
        profile=profile,
    )
    ratios = np.full((TARGETS, n_layers, n_heads), np.nan)
    for row in range(TARGETS):
        per_head = n_tokens * (TARGETS - row) // (TARGETS + 1)
        if per_head >= max(request.n_protected, 1):
            row_request = replace(request, budget=request.n_heads * per_head)
            try:
                ratios[row] = 1 - LUKV().allocate(row_request)[:, 0].numpy() / n_tokens
            except UserError:  # beyond the curve, and so is every later row
                break
    if np.isnan(ratios).all():
        raise UserError(
            f"no ratio can be served over {n_tokens} tokens with {request.n_protected} of them protected; export for a "
            "greater length, or with a smaller --sink and --window."
        )
    return ratios
