"""Truncation of a context that is too long: tokens are cut from its middle."""

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

    Source: LongBench (arXiv 2308.14508, THUDM/LongBench pred.py), which cuts the whole prompt this way.
    Differs from the paper: only the context is cut, so that the question and what follows it stay whole.
    """
    if len(ids) <= room:
        return Cut(tuple(ids), 0)
    front = max(room, 0) // 2
    back = max(room, 0) - front
    return Cut((*ids[:front], *(ids[-back:] if back else ())), len(ids) - front - back)
