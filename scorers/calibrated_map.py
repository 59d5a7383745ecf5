"""Maps from what is seen of a token to what it will be worth: ridge regression, then isotonic calibration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SMALLEST = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Moments:
    """Sums over tokens, from which a ridge regression follows; those of several texts can be added.

    Attributes:
        gram: float64 [F, F].
        cross: float64 [F, K].
    """

    gram: Tensor
    cross: Tensor

    @classmethod
    def of(cls, features: Tensor, targets: Tensor) -> "Moments":
        """Those of float64 [n, F] and [n, K]."""
        return cls(features.T @ features, features.T @ targets)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.gram + other.gram, self.cross + other.cross)

    def weights(self, penalty: float) -> Tensor:
        """float64 [F, K], the least squares with a penalty on the weights."""
        eye = torch.eye(len(self.gram), dtype=self.gram.dtype)
        solved: Tensor = torch.linalg.solve(self.gram + penalty * eye, self.cross)
        return solved


@dataclass(frozen=True)
class Ridge:
    """A linear map of features as they come.

    Attributes:
        weights: float64 [F, K].
        bias: float64 [K].
        held_out: Per text float64 [n, K]: its predictions by a map that was fitted on all other texts.
    """

    weights: Tensor
    bias: Tensor
    held_out: list[Tensor]

    @classmethod
    def of(cls, features: Sequence[Tensor], targets: Sequence[Tensor], penalty: float) -> "Ridge":
        """Fit on features [n, F] and targets [n, K] of at least two texts, both float64; the penalty is on the weights
        of features with a standard deviation of 1 over all texts."""
        every = torch.cat([*features])
        mean, scale = every.mean(dim=0), every.std(dim=0).clamp_min(SMALLEST)
        level = torch.cat([*targets]).mean(dim=0)
        standard = [(each - mean) / scale for each in features]
        moments = [Moments.of(*pair) for pair in zip(standard, (each - level for each in targets), strict=True)]
        whole = _sum(moments)
        fitted = whole.weights(penalty)
        others = [_sum(moments[:text] + moments[text + 1 :]) for text in range(len(moments))]
        held_out = [each @ other.weights(penalty) + level for each, other in zip(standard, others, strict=True)]
        weights = fitted / scale.unsqueeze(-1)
        return cls(weights, level - mean @ weights, held_out)


def _sum(moments: Sequence[Moments]) -> Moments:
    whole, *others = moments
    for each in others:
        whole += each
    return whole


def isotonic_knots(predicted: Tensor, worth: Tensor, n_knots: int) -> Tensor:
    """float64 [2, knots]: places, ascending, and the mean worth there: the closest function that never falls.

    The knots lie closest where predictions are largest: that is where a small budget decides.

    Args:
        predicted: float64 [n].
        worth: float64 [n].
        n_knots: How many.
    """
    from scipy.optimize import isotonic_regression  # a second, which most runs need not spend

    order = predicted.argsort()
    fit = isotonic_regression(worth[order].numpy())
    from_top = np.geomspace(1, len(order), n_knots).round().astype(np.int64)
    places = torch.from_numpy(len(order) - from_top[::-1])
    return torch.stack([predicted[order][places], torch.from_numpy(np.asarray(fit.x))[places]])


def interpolate(places: Tensor, knots: Tensor, worth: Tensor) -> Tensor:
    """Linear between knots, constant beyond them.

    Args:
        places: [..., n].
        knots: [..., knots], ascending.
        worth: [..., knots].
    """
    after = torch.searchsorted(knots.contiguous(), places.contiguous()).clamp(1, knots.shape[-1] - 1)
    left, right = knots.gather(-1, after - 1), knots.gather(-1, after)
    share = ((places - left) / (right - left).clamp_min(SMALLEST)).clamp(0, 1)
    return torch.lerp(worth.gather(-1, after - 1), worth.gather(-1, after), share)
