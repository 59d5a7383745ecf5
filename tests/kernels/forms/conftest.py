"""Tensors in which every read or write that should not be shows as NaN."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from ...amid_nan import amid_nan


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    """torch fills new tensors with NaN, or the largest integer: what a kernel does not write is seen."""
    torch.set_deterministic_debug_mode("error")
    yield
    torch.set_deterministic_debug_mode("default")


@pytest.fixture(name="amid_nan")
def amid_nan_fixture() -> Callable[[Tensor], Tensor]:
    return amid_nan
