"""Wall time as a device spends it."""

import time

import torch


def now(device: torch.device) -> float:
    """Seconds, after all work queued on the device is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter()
