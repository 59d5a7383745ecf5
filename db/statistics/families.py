"""Many tests at once."""

import numpy as np

from .arrays import Booleans, Floats


def holm(p_values: Floats, level: float = 0.95) -> tuple[Booleans, Floats]:
    """(rejected, adjusted p-values) of Holm's step-down test of a family of hypotheses.

    The chance to reject any true one of them is at most 1 - level, however the tests depend on each other (Holm 1979,
    Scandinavian Journal of Statistics 6(2)). An adjusted p-value is the smallest 1 - level that would still reject.
    """
    order = np.argsort(p_values, kind="stable")
    stepped = np.minimum(1.0, np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)))
    adjusted = np.empty_like(stepped)
    adjusted[order] = stepped
    return adjusted <= 1 - level + 1e-12, adjusted
