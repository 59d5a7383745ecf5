"""What reads a repeat: seconds of each token, wall time, memory and energy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..engine.cache import StoreCache
from ..engine.clock import Marks, now
from ..engine.decode import decode, greedy
from ..models.load import LoadedModel
from ..run.unit import Unit
from .energy import Joules, energy_counter
from .memory import MemoryMeter, memory_meter


@dataclass(frozen=True)
class Instruments:
    """The instruments of a device.

    Attributes:
        memory: None where the memory in use cannot be read.
        joules: None where the energy cannot be read.
    """

    device: torch.device
    memory: MemoryMeter | None
    joules: Joules | None

    @classmethod
    def of(cls, device: torch.device) -> "Instruments":
        """Those that there are for a device."""
        return cls(device, memory_meter(device), energy_counter(device))

    @property
    def clock(self) -> str:
        """What tells the seconds of each step."""
        return "CUDA events" if self.device.type == "cuda" else "monotonic clock"

    @contextmanager
    def reading(self) -> Iterator[dict[str, Any]]:
        """Read a block of work; its wall time, memory and energy are in the dictionary when it ends."""
        read: dict[str, Any] = {"peak_bytes": None, "peak_reserved_bytes": None, "energy_j": None}
        if self.memory is not None:
            self.memory.start()
        joules = None if self.joules is None else self.joules()
        began = now(self.device)
        yield read
        read["wall_s"] = now(self.device) - began
        if self.joules is not None and joules is not None:
            read["energy_j"] = self.joules() - joules
        if self.memory is not None:
            read |= {"peak_bytes": self.memory.peak(), "peak_reserved_bytes": self.memory.peak_reserved()}

    def model_bytes(self) -> int | None:
        """Memory in use between two repeats: the model, and what libraries keep."""
        return None if self.memory is None else self.memory.in_use()


@dataclass(frozen=True)
class TokenSeconds:
    """Seconds of each token of one decoding.

    Attributes:
        first_token_s: From the question's first token to the first token chosen.
        token_s: From each token chosen to the next, everything between them included.
    """

    first_token_s: float
    token_s: list[float] = field(default_factory=list)


def decode_timed(loaded: LoadedModel, cache: StoreCache, unit: Unit) -> TokenSeconds:
    """Decode as a run does, token by token, every row of a cache the same question.

    Raises:
        RuntimeError: it ended before all tokens were chosen.
    """
    marks, n_rows = Marks(loaded.device), len(cache.n_seen)

    def choose(logits: Tensor, rows: Tensor) -> Tensor:
        tokens = greedy(logits, rows)
        marks.add()
        return tokens

    marks.add()
    decode(loaded, cache, [unit.question] * n_rows, unit.stop, choose)
    first_token_s, *token_s = marks.intervals()
    if len(token_s) != unit.stop.max_new_tokens - 1:
        raise RuntimeError(f"{len(token_s) + 1} of {unit.stop.max_new_tokens} tokens were decoded")
    return TokenSeconds(first_token_s, token_s)
