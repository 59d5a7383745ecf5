"""Wall time of work on a device."""

import time

import torch


def now(device: torch.device) -> float:
    """The time in seconds, read when all work queued on the device is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter()
