"""The machine and the package versions of a run."""

import os
import platform
import re
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "transformers", "tokenizers", "lm-eval", "numpy", "scipy", "rapidfuzz", "jieba")
"""rapidfuzz and jieba affect the scores of some tasks."""


def package_versions() -> dict[str, str]:
    """Versions of the packages whose code may change an answer or its score."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def machine_name(facts: Mapping[str, str | int]) -> str:
    """A name for the hardware that timings depend on, from the facts of `machine`.

    It includes torch's threads on a CPU, where timings depend on them, and no package versions.
    """
    names = [str(facts[name]) for name in ("gpu", "processor") if name in facts]
    counted = ("core",) if "gpu" in facts else ("core", "thread")
    return ", ".join([*names, *(_count(facts[f"{name}s"], name) for name in counted)])


def _count(number: str | int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


DRIVER = Path("/proc/driver/nvidia/version")


def driver() -> str | None:
    """The version of NVIDIA's driver; None where there is none."""
    try:
        found = re.search(r"Kernel Module.*?(\d+\.\d[\d.]*)", DRIVER.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return None if found is None else found[1]


def machine(*devices: "torch.device") -> dict[str, str | int]:
    """Processor, its logical cores and torch's threads; for CUDA devices also their names, torch's CUDA version and the
    driver's."""
    import torch

    facts: dict[str, str | int] = {
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
    }
    if gpus := Counter(torch.cuda.get_device_name(device) for device in devices if device.type == "cuda"):
        names = ", ".join(name if n == 1 else f"{n} x {name}" for name, n in gpus.items())
        facts |= {"gpu": names, "cuda": str(torch.version.cuda)}
        if (version_of_driver := driver()) is not None:
            facts["driver"] = version_of_driver
    return facts
