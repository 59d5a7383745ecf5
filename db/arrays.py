"""A profile's arrays as bytes: a compressed NumPy archive, small enough to stand beside the answers."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_NUMBERS = 2**16
"""Numbers that a database keeps of a profile; LU-KV's curves for 32 layers and 8 KV heads are 25,344."""

_FOLDER = "arrays/"
"""Before each name, so that none is that of an argument of NumPy's."""


def pack_arrays(arrays: Mapping[str, npt.NDArray[np.generic]]) -> bytes | None:
    """The arrays by name in float16, or float32 where a number is beyond its range; None where they are too many."""
    if sum(array.size for array in arrays.values()) > MOST_NUMBERS:
        return None
    file = io.BytesIO()
    named: dict[str, Any] = {f"{_FOLDER}{name}": _half(array) for name, array in arrays.items()}
    np.savez_compressed(file, **named)
    return file.getvalue()


def unpack_arrays(packed: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """The arrays by name. ValueError for bytes that `pack_arrays` did not make."""
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            return {name.removeprefix(_FOLDER): archive[name].astype(np.float32) for name in archive.files}
    except Exception as error:  # zip, zlib, NumPy and the header's parser each raise errors of their own
        raise ValueError(f"these are no packed arrays ({error})") from error


def _half(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    in_range = np.abs(array.astype(np.float64)) <= np.finfo(np.float16).max
    return array.astype(np.float16 if in_range.all() else np.float32)
