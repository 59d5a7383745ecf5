"""The energy that a card uses, where NVIDIA's management library tells it; nothing here is required."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

Joules = Callable[[], float]
"""What the card has used since its driver was loaded, in joules: by everything that runs on it."""


def energy_counter(device: torch.device) -> Joules | None:
    """The counter of a device's card; None where there is none, or no package `pynvml` to read it."""
    if device.type != "cuda":
        return None
    try:
        nvml: Any = import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        card = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        nvml.nvmlDeviceGetTotalEnergyConsumption(card)  # older cards have no counter
    except (nvml.NVMLError, AttributeError):
        return None
    return lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(card)) / 1000
