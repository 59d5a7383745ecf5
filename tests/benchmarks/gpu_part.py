"""What a part of the GPU check is: named checks, each with an outcome of its own."""

import gc
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from lukv_bench.kernels.backend import Backend, resolve


@dataclass(frozen=True)
class Place:
    """Where checks run.

    Attributes:
        device: Of all tensors.
        backend: Of the kernels.
        is_small: A rehearsal, in sizes that a CPU does in seconds.
    """

    device: torch.device
    backend: Backend
    is_small: bool

    @classmethod
    def of(cls, device: str, backend: str, is_small: bool) -> "Place":
        """Raises BackendError where this process cannot serve the backend there."""
        return cls(torch.device(device), resolve(backend, torch.device(device)), is_small)


@dataclass(frozen=True)
class Outcome:
    """What came of one check.

    Attributes:
        wrong: Why it is wrong, in one line; "" = nothing is.
        data: What it measured; JSON.
    """

    wrong: str
    data: Mapping[str, Any] = field(default_factory=dict)


Say = Callable[[str], None]
"""Told what a check that takes long is doing."""

Check = Callable[[Say], Outcome]

LOST = ("CUDA error", "HIP error", "device-side assert", "illegal memory access")
"""After such an error a process computes nothing any more."""


def outcome_of(check: Check, say: Say) -> tuple[Outcome, bool]:
    """(what came of a check, whether the process can go on)."""
    try:
        return check(say), True
    except Exception as error:  # a compiler, a driver or a library may raise anything
        text = " ".join(f"{type(error).__name__}: {error}".split())
        is_memory = isinstance(error, torch.OutOfMemoryError)
        outcome, is_lost = Outcome(text[:600]), not is_memory and any(words in text for words in LOST)
    gc.collect()  # what the traceback held
    if torch.cuda.is_available() and not is_lost:
        torch.cuda.empty_cache()
    return outcome, not is_lost


@contextmanager
def poisoned() -> Iterator[None]:
    """torch fills new tensors with NaN, or the largest integer: what a kernel does not write is seen."""
    before = torch.get_deterministic_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operations that are not deterministic
        torch.set_deterministic_debug_mode("warn")
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(before)
