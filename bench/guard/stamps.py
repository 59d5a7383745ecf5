"""Detects writes into tensors by torch's version counters, which exist outside inference mode."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor


class Stamps:
    """The versions of named tensors at one moment.

    Detected: every in-place operation on a tensor or a view of it, and a replaced storage. Not detected: writes
    through `.data`, `.numpy()`, DLPack or a pointer, which torch does not count.
    """

    def __init__(self, tensors: Iterable[tuple[str, Tensor]]) -> None:
        self._stamps = [(name, tensor, _stamp(tensor)) for name, tensor in tensors]

    def written(self) -> list[str]:
        """Names of the tensors that were written into since."""
        return [name for name, tensor, stamp in self._stamps if _is_other(tensor, stamp)]

    def renew(self) -> None:
        """Take the current state as the reference."""
        self._stamps = [(name, tensor, _stamp(tensor)) for name, tensor, _ in self._stamps]


def _stamp(tensor: Tensor) -> Any:
    if tensor.is_inference():  # has no counter; only small buffers that a model makes while it decodes
        return tensor.clone()
    return tensor._version, tensor.data_ptr(), tensor.shape


def _is_other(tensor: Tensor, stamp: Any) -> bool:
    if isinstance(stamp, Tensor):
        return not (tensor.shape == stamp.shape and bool((tensor == stamp).all()))
    return bool(_stamp(tensor) != stamp)
