"""Isotonic maps, from what is predicted of a token to what it will be worth."""

import numpy as np
import torch
from torch import Tensor

from .ridge import SMALLEST


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
