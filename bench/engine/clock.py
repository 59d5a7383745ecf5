"""Wall time of work on a device."""

import time

import torch


def now(*devices: torch.device) -> float:
    """The time in seconds, read when all work queued on the devices is done."""
    for device in devices:
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
    return time.perf_counter()
