"""What happens to a prompt that is longer than the model's window: its context loses tokens in the middle, or none."""

from collections.abc import Sequence
from typing import NamedTuple


class Cut(NamedTuple):
    """A context after truncation.

    Attributes:
        ids: The tokens that stay.
        n_cut: How many were cut out; 0 = it fits.
    """

    ids: tuple[int, ...]
    n_cut: int


def cut_middle(ids: Sequence[int], room: int) -> Cut:
    """At most `room` tokens: half from the front, half from the back, the odd one from the back.

    Source: LongBench (arXiv 2308.14508, THUDM/LongBench pred.py), which cuts the whole prompt so.
    Differs from the paper: only the context is cut, so neither the question nor what stands behind it can be lost.
    """
    if len(ids) <= room:
        return Cut(tuple(ids), 0)
    front = max(room, 0) // 2
    back = max(room, 0) - front
    return Cut((*ids[:front], *(ids[-back:] if back else ())), len(ids) - front - back)
