"""The one validator: every way a plugin can break its budget is told."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lukv_bench.allocators.base import AllocationRequest, BudgetError, check_counts

Ask = Callable[..., AllocationRequest]
GOOD = [[[10, 20], [12, 18]], [[5, 50], [40, 15]], [[30, 5], [25, 10]]]
"""[layers, B, H]: both sequences keep 120 slots; 5 protected of 50 tokens, both bounds touched."""


def moved(*moves: tuple[tuple[int, int, int], int]) -> Tensor:
    counts = torch.tensor(GOOD)
    for at, by in moves:
        counts[at] += by
    return counts


def test_good_counts_pass(ask: Ask) -> None:
    check_counts(moved(), ask(120, n_batch=2))


BROKEN = {
    "one slot too many": (moved(((0, 0, 0), 1)), "120"),
    "one slot too few": (moved(((2, 1, 0), -1)), "120"),
    "right over both sequences, wrong in each": (moved(((0, 0, 0), 1), ((0, 1, 0), -1)), "120"),
    "below the protected tokens": (moved(((1, 0, 0), -1), ((0, 0, 0), 1)), "protected"),
    "above the context": (moved(((1, 0, 1), 1), ((0, 0, 0), -1)), "51"),
    "negative": (moved(((1, 0, 0), -6), ((0, 0, 0), 6)), "protected"),
    "a layer missing": (moved()[:2], "shape"),
    "no axis for the sequences": (moved()[:, 0], "shape"),
    "one row for two sequences": (moved()[:, :1], "shape"),
    "heads and sequences swapped": (torch.full((3, 4, 2), 15).transpose(1, 2)[:, :, :3], "shape"),
    "floats": (moved().double(), "int64"),
    "32 bits": (moved().int(), "int64"),
}


@pytest.mark.parametrize(("counts", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_counts_are_refused_with_what_is_wrong(ask: Ask, counts: Tensor, said: str) -> None:
    with pytest.raises(BudgetError, match=said):
        check_counts(counts, ask(120, n_batch=2))
