"""Whether anybody wrote into a tensor: outside inference mode each counts the writes into its storage."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor


class Stamps:
    """Named tensors as they were at one moment.

    Seen: every in-place operation on a tensor or on any view of it, and a storage that was put in its place. Not
    seen: writes through `.data`, `.numpy()`, DLPack or a pointer, which torch does not count.
    """

    def __init__(self, tensors: Iterable[tuple[str, Tensor]]) -> None:
        self._stamps = [(name, tensor, _stamp(tensor)) for name, tensor in tensors]

    def written(self) -> list[str]:
        """Names of the tensors that were written into since."""
        return [name for name, tensor, stamp in self._stamps if _is_other(tensor, stamp)]

    def renew(self) -> None:
        """What the tensors are now is what they should be."""
        self._stamps = [(name, tensor, _stamp(tensor)) for name, tensor, _ in self._stamps]


def _stamp(tensor: Tensor) -> Any:
    if tensor.is_inference():  # counts nothing; only small buffers that a model makes while it decodes are such
        return tensor.clone()
    return tensor._version, tensor.data_ptr(), tensor.shape


def _is_other(tensor: Tensor, stamp: Any) -> bool:
    if isinstance(stamp, Tensor):
        return not (tensor.shape == stamp.shape and bool((tensor == stamp).all()))
    return bool(_stamp(tensor) != stamp)
