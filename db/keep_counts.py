"""Keep counts as an array."""

from typing import Any

import numpy as np
import numpy.typing as npt


def counts_array(counts: Any) -> npt.NDArray[np.float64] | None:
    """Stored counts as [L, H]; None where another program wrote something else there."""
    if not (isinstance(counts, list) and counts and all(isinstance(layer, list) for layer in counts)):
        return None
    numbers = [number for layer in counts for number in layer]
    is_even = len({len(layer) for layer in counts}) == 1 and bool(numbers)
    if not is_even or not all(type(number) is int and 0 <= number < 2**53 for number in numbers):
        return None
    return np.array(counts, dtype=np.float64)
