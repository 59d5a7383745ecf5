"""How many configurations of a sample decode together: as many as were asked for, or as many as memory holds."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..engine.drafts import FIRST
from ..models.load import DTYPES, LoadedModel
from .unit import Unit, UnitConfiguration

SHARE = 0.5
"""Of the memory that is free, what a batch may take unless told otherwise."""


@dataclass(frozen=True)
class Batching:
    """How the configurations of a sample decode.

    Attributes:
        most: The most that decode together; None = as many as memory holds. One by one, decoding is timed.
        drafts: Whether answers already given to the sample are drafts of the others. Then decoding is not timed.
        max_memory: Bytes that a batch may take where `most` is None; None = half of what is free.
    """

    most: int | None = 1
    drafts: bool = False
    max_memory: int | None = None


def n_fitting(loaded: LoadedModel, unit: Unit, waiting: Sequence[UnitConfiguration], max_memory: int | None) -> int:
    """How many of the first configurations fit into memory together, at least one."""
    limit = int(SHARE * free_memory(loaded.device)) if max_memory is None else max_memory
    activations, taken = _activation_bytes(loaded, unit), 0
    for n, configuration in enumerate(waiting):
        taken += _cache_bytes(loaded, unit, configuration) + activations
        if taken > limit:
            return max(n, 1)
    return len(waiting)


def free_memory(device: torch.device) -> int:
    """Bytes that can be allocated on a device; on the CPU also within the limit of a container."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    available = _available()
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:  # no container, or not Linux
        return available
    return available if limit == "max" else min(available, max(int(limit) - int(used), 0))


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out; torch's CPU allocator raises a RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _available() -> int:
    """Bytes of the machine's memory that programs can get; half of all of it where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    (kib,) = (int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return kib * 1024


def _cache_bytes(loaded: LoadedModel, unit: Unit, configuration: UnitConfiguration) -> int:
    """Keys, values and selection of what a configuration keeps, and its room."""
    shape, n_context = loaded.shape, len(unit.context)
    kept, room = configuration.method.budget.per_head(n_context), unit.n_sequence - n_context
    per_slot = 2 * shape.head_dim * DTYPES[loaded.dtype].itemsize
    selection = kept * torch.int64.itemsize + n_context  # positions and mask
    return shape.n_layers * shape.n_kv_heads * ((kept + room) * per_slot + selection)


def _activation_bytes(loaded: LoadedModel, unit: Unit) -> int:
    """What a row's first pass takes at its peak: the logits after each drafted token, and one layer."""
    config, itemsize = loaded.model.config.get_text_config(decoder=True), DTYPES[loaded.dtype].itemsize
    n_places = 1 + max(min(FIRST, unit.stop.max_new_tokens), unit.stop.max_new_tokens // 2)
    n_fed = len(unit.question) + n_places
    logits = n_places * config.vocab_size * (itemsize + 2 * torch.float32.itemsize)
    hidden = n_fed * (8 * config.hidden_size + 3 * getattr(config, "intermediate_size", 4 * config.hidden_size))
    weights = loaded.shape.n_query_heads * n_fed * (len(unit.context) + n_fed) * 2 * torch.float32.itemsize
    return int(logits + hidden * itemsize + weights)
