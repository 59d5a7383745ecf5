"""Whether a model's weights fit where it shall run, before they are read, and which GPU each module of it is put on."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ... import UserError
from ...db.sizes import size
from .config import empty_model
from .devices import Place, Spread
from .memory import measured_memory
from .revision import header

FLOATS = {"F64", "F32", "F16", "BF16"}
"""The dtypes, as safetensors names them, that are converted to the model's; others stay as they are stored."""

SHARE = 0.9
"""Of the memory that is free on each of several GPUs, what weights may take. The rest is for caches."""


def stored_bytes(files: Sequence[Path], dtype: torch.dtype) -> int:
    """Bytes of all tensors of safetensors files in a dtype, read off their headers.

    Raises:
        UserError: a file is corrupt.
    """
    return sum(
        math.prod(entry["shape"]) * dtype.itemsize
        if entry["dtype"] in FLOATS
        else entry["data_offsets"][1] - entry["data_offsets"][0]
        for file in files
        for entry in header(file).values()
    )


def device_map(name: str, config: Any, stored: int, dtype: torch.dtype, place: Place) -> dict[str, int] | None:
    """The GPU of each module, by the module's name; None for a model on one device.

    Args:
        name: The model, for messages.
        config: Its configuration.
        stored: As `stored_bytes`; tensors that share memory once loaded may be counted twice.
        dtype: Of the weights.
        place: Where the model shall run.

    Raises:
        UserError: the weights do not fit there.
    """
    if isinstance(place, Spread):
        free = {device: measured_memory(device) or 0 for device in place.devices}
        empty = empty_model(name, config, dtype)
        needed = _loaded_bytes(empty, stored)
        scale = SHARE * _built_bytes(empty) / needed  # the map counts quantized weights as if they were not
        modules = spread(empty, {device.index: int(scale * n_bytes) for device, n_bytes in free.items()})
        if modules is None:
            there = ", ".join(f"{size(n_bytes)} on {device}" for device, n_bytes in free.items())
            note = f"{there} are free, of which weights may take {SHARE:.0%}"
            raise _does_not_fit(name, needed, dtype, note)
        return modules
    room = measured_memory(place, swap=True)  # slow, but it runs
    if room is not None and stored > room:
        needed = _loaded_bytes(empty_model(name, config, dtype), stored)
        if needed > room:
            several = place.type == "cuda" and torch.cuda.device_count() > 1
            raise _does_not_fit(name, needed, dtype, f"{size(room)} are free on {place}", several)
    return None


def spread(empty: Any, limits: dict[int, int]) -> dict[str, int] | None:
    """The GPU of each module: evenly over all, else one GPU filled after the other; None if the weights do not fit.

    Args:
        empty: The model on the meta device.
        limits: By index of a GPU the bytes that weights may take there.
    """
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    whole = [*(empty._no_split_modules or ())]
    for most in (get_balanced_memory(empty, dict(limits), whole), limits):
        # accelerate keeps room for offloaded layers on "mps" if that is named, else on the first GPU; we offload none.
        with warnings.catch_warnings(action="ignore"):  # about layers that would be
            modules = infer_auto_device_map(empty, max_memory=most | {"mps": 0}, no_split_module_classes=whole)
        if set(modules.values()) <= limits.keys():
            return dict(modules)
    return None


def _loaded_bytes(empty: Any, stored: int) -> int:
    """Bytes of the weights once they are loaded. An empty model does not know that weights are stored quantized."""
    return min(stored, _built_bytes(empty))


def _built_bytes(empty: Any) -> int:
    return sum(weight.numel() * weight.element_size() for weight in empty.parameters())


def _does_not_fit(name: str, n_bytes: int, dtype: torch.dtype, free: str, several: bool = False) -> UserError:
    ways = ["--dtype bfloat16, which takes half of it"] * (dtype.itemsize == 4)
    ways += ["--device auto, which spreads it over all GPUs"] * several
    return UserError(
        f"the weights of {name} take {size(n_bytes)} in {str(dtype).removeprefix('torch.')}, and {free}; use "
        f"{', '.join([*ways, 'a smaller model'])} or another machine."
    )
