"""What a run ran on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "transformers", "tokenizers", "lm-eval", "numpy", "scipy")


def package_versions() -> dict[str, str]:
    """Versions of the packages whose code may change an answer."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def machine() -> dict[str, str | int]:
    """Processor, its logical cores and torch's threads."""
    import torch

    return {"processor": processor(), "cores": os.cpu_count() or 1, "threads": torch.get_num_threads()}
