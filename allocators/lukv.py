"""LU-KV."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .. import UserError
from ..scorers.base import CalibrationDocument, CalibrationReads
from .apportion import apportion
from .base import AllocationRequest, Needs
from .lukv_hull import relax
from .lukv_order import eviction_order, losses
from .lukv_solver import greedy_evictions

TARGETS = 99
"""Targets of the curve: 1% to 99% of the evictable tokens pruned."""

ROUNDING = 1e-6
"""Tolerance for a curve stored in float32."""

HALF_A_SLOT = 0.005
"""Tolerance of a target's total, which is a whole number of slots: calibration texts have more than 100 per head."""


@dataclass(frozen=True)
class LUKV:
    """Head budgets from one global optimisation of long-horizon utility, profiled offline.

    Offline: for every (document, question) the oracle importance of each cached token is put in the scorer's
    eviction order, relaxed to a convex loss per head, and a greedy solver evicts the cheapest tokens of the
    whole model at 99 targets. The shares that heads keep, averaged over questions and then over documents, are
    the curve [99, L, H]. Online: a head keeps its protected tokens and its share of the rest.

    Source: Tang et al., "Predicting Future KV Utility", ICML 2026, arXiv 2602.08585, sections 3-4, appendix A.

    Attributes:
        profile: A profile file; "" = the shipped or cached one for this model and scorer, made if missing.

    Differs from the paper: curves are shares of the evictable tokens and protected tokens are charged on top,
    so floors are absolute and do not grow with the context (the authors' code stores shares of all tokens, with
    a floor of 1% or the calibration text's sink and window); between grid points the curve is interpolated
    instead of rounded, and the total is exact; documents have equal weights, whatever their number of questions.
    Not monotone: the shares only grow with the budget, but rounding may take a slot from a head.
    """

    profile: str = ""

    source: ClassVar[str] = "arXiv 2602.08585 (ICML 2026)"
    needs: ClassVar[Needs] = Needs.NOTHING
    monotone: ClassVar[bool] = False
    calibration: ClassVar[CalibrationReads] = CalibrationReads(scores=True, importance=True)

    def fit(self, documents: tuple[CalibrationDocument, ...]) -> Mapping[str, Tensor]:
        """The curve: float64 [99, L, H], shares of the evictable tokens that each head keeps."""
        curves = [_document_curve(document) for document in documents]
        return {"curve": torch.stack(curves).mean(dim=0)}

    def check_profile(self, arrays: Mapping[str, Tensor], n_layers: int, n_kv_heads: int) -> None:
        """Check that a profile's arrays satisfy what `fit` guarantees.

        Raises:
            ValueError: they do not.
        """
        check_curve(arrays, n_layers, n_kv_heads)

    def check(self, request: AllocationRequest) -> None:
        """Refuse a budget beyond the curve.

        Raises:
            UserError: the budget prunes more than the curve's last target, 99% of the evictable tokens.
        """
        position = _position(request)
        if position > TARGETS:
            raise UserError(
                f"LU-KV's profile ends at {TARGETS}% of the evictable tokens pruned, and this budget asks for "
                f"{float(position):.2f}%; keep more tokens (a smaller --ratio or a larger --keep-tokens)."
            )

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H]: protected tokens + the curve's share of the rest, total exact.

        Raises:
            UserError: as `check`.
        """
        if request.profile is None:
            raise ValueError("LU-KV cannot allocate without its profile")
        self.check(request)
        evictable = request.n_tokens - request.n_protected
        rest = request.budget - request.n_heads * request.n_protected
        shares = _shares_at(request.profile.arrays["curve"][:, list(request.layers)], _position(request))
        counts = apportion(shares.reshape(-1) * evictable, rest, evictable) + request.n_protected
        return counts.view(len(request.layers), 1, request.n_kv_heads).expand(request.shape).contiguous()


def check_curve(arrays: Mapping[str, Tensor], n_layers: int | None = None, n_kv_heads: int | None = None) -> None:
    """Refuse arrays that `LUKV.fit` cannot have made for a model of this shape; without a shape, for any model.

    Raises:
        ValueError: the arrays are not a curve of LU-KV.
    """
    curve = arrays.get("curve")
    if curve is None or set(arrays) != {"curve"}:
        raise ValueError(f"it holds {', '.join(sorted(arrays)) or 'nothing'}, not one array named curve")
    _check_shape(list(curve.shape), [TARGETS, n_layers, n_kv_heads])
    if not curve.is_floating_point() or not bool(curve.isfinite().all()):
        raise ValueError("its curve holds numbers that are not finite")
    curve = curve.double()
    low, high = float(curve.min()), float(curve.max())
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ValueError(f"its curve's shares reach from {low:.4g} to {high:.4g}, and a share is between 0 and 1")
    if float(curve.diff(dim=0).max()) > ROUNDING:
        raise ValueError("a head of its curve keeps more at a larger prune ratio")
    kept = 1 - torch.arange(1, TARGETS + 1, dtype=torch.float64) / (TARGETS + 1)
    off = (curve.mean(dim=(1, 2)) - kept).abs()
    if float(off.max()) > HALF_A_SLOT:
        target = int(off.argmax())
        raise ValueError(
            f"its curve keeps {float(curve[target].mean()):.4f} of all tokens where it prunes {target + 1}%, and not "
            f"{float(kept[target]):.4f}"
        )


def _check_shape(shape: list[int], expected: list[int | None]) -> None:
    if len(shape) != 3 or 0 in shape or any(size not in (None, n) for n, size in zip(shape, expected, strict=True)):
        shown = [str(n or word) for n, word in zip(expected, ("", "layers", "KV heads"), strict=True)]
        raise ValueError(f"its curve has the shape {shape}, not [{', '.join(shown)}]")


def _document_curve(document: CalibrationDocument) -> Tensor:
    """float64 [99, L, H]: the mean over the document's questions."""
    if document.scores is None or document.importance is None:
        raise ValueError("LU-KV's fit needs the scores and the importance of every document")
    n_layers, n_heads, _ = document.scores.shape
    order = eviction_order(document.scores, document.protected)
    n_evictable = order.shape[-1]
    total = n_layers * n_heads * n_evictable
    targets = [round(total * target / (TARGETS + 1)) for target in range(1, TARGETS + 1)]
    kept = np.zeros((TARGETS, n_layers * n_heads))
    for importance in document.importance:
        in_order = relax(losses(importance, order, document.protected))
        kept += 1 - greedy_evictions(in_order, n_layers * n_heads, targets) / n_evictable
    return torch.from_numpy(kept / len(document.importance)).view(TARGETS, n_layers, n_heads)


def _position(request: AllocationRequest) -> Fraction:
    """Per cent of the evictable tokens that the budget prunes: the exact position on the curve's grid."""
    evictable = request.n_heads * (request.n_tokens - request.n_protected)
    pruned = request.n_heads * request.n_tokens - request.budget
    return Fraction(pruned, evictable) * (TARGETS + 1) if evictable else Fraction(0)


def _shares_at(curve: Tensor, position: Fraction) -> Tensor:
    """float64 [L, H]: the curve at a position on its grid, linear between targets; 0 is the full cache."""
    low = int(position)
    grid = torch.cat([torch.ones_like(curve[:1]), curve]).double()
    return torch.lerp(grid[low], grid[min(low + 1, TARGETS)], float(position - low))
