"""Tensors in which every read or write that should not be shows as NaN."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    """torch fills new tensors with NaN, or the largest integer: what a kernel does not write is seen."""
    torch.set_deterministic_debug_mode("error")
    yield
    torch.set_deterministic_debug_mode("default")


def amid_nan(tensor: Tensor) -> Tensor:
    """The same [B, H, T, D] as a view of a tensor [B, T, H, D], as a model has it, with NaN around every axis."""
    n_batch, n_heads, n_tokens, dim = tensor.shape
    whole = tensor.new_full((n_batch + 1, n_tokens + 3, n_heads + 1, dim + 8), float("nan"))
    view = whole[:n_batch, :n_tokens, :n_heads, :dim].transpose(1, 2)
    view.copy_(tensor)
    return view


@pytest.fixture(name="amid_nan")
def amid_nan_fixture() -> Callable[[Tensor], Tensor]:
    return amid_nan
