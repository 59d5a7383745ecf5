"""What passes between a measurement's process and the one that asked for it. All of it can be pickled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...db.cost_records import RepeatRecord
from ..run.executors.setup import WorkerSetup
from ..run.unit import Unit

COST_VERSION = 1
"""Raised by hand when the way of measuring changes: what was measured in another way is measured again."""


@dataclass(frozen=True)
class CostSettings:
    """How a cell is measured.

    Attributes:
        n_repeats: Measured repeats, after one that is not.
        n_new_tokens: Tokens that every repeat decodes, at least 2; nothing ends it earlier.
        max_memory: Bytes beside the model that the largest batch may take; None = no batch is measured.
    """

    n_repeats: int = 5
    n_new_tokens: int = 32
    max_memory: int | None = None


@dataclass(frozen=True)
class CostRequest:
    """A measurement of one cell.

    Attributes:
        setup: The model and the profiles.
        unit: The cell's sample with its one configuration; it stops after `n_new_tokens` and for nothing else.
        settings: How it is measured.
    """

    setup: WorkerSetup
    unit: Unit
    settings: CostSettings


@dataclass(frozen=True)
class Gate:
    """How far the evicted cache's logits are from those of the full cache under a mask of the same kept set.

    Attributes:
        error: The largest difference, per standard deviation of the full cache's logits.
        tolerance: The largest that rounding explains in the model's dtype.
        n_tokens: Tokens whose logits were compared.
    """

    error: float
    tolerance: float
    n_tokens: int

    @property
    def passed(self) -> bool:
        """Whether they are the same up to rounding; not where one is NaN."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Sizes:
    """What one repeat held, from the tensors themselves.

    Attributes:
        kv_tokens_full: Slots of the full cache of the context over all layers and KV heads.
        kv_tokens_kept: Slots that were kept.
        kv_bytes_full: Bytes of the full cache.
        kv_bytes_kept: Bytes of the kept slots.
        kv_bytes_allocated: Bytes of the stores' tensors, spare slots included.
        footprint: See `footprint.kv_footprint`.
    """

    kv_tokens_full: int
    kv_tokens_kept: int
    kv_bytes_full: int
    kv_bytes_kept: int
    kv_bytes_allocated: int
    footprint: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A measurement that is done.

    Attributes:
        repeats: One after the other.
        clock: What tells the seconds.
        memory: What tells the peaks; None where nothing does.
        model_bytes: Memory in use before a repeat, counted in the same way.
        batch_rows: Rows of the largest batch within the limit; None where none was measured.
        batch: Its repeats.
        details: What else a reader may want to know.
    """

    gate: Gate
    sizes: Sizes
    repeats: tuple[RepeatRecord, ...]
    clock: str
    memory: str | None
    model_bytes: int | None
    batch_rows: int | None = None
    batch: tuple[RepeatRecord, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """A measurement that gave no seconds.

    Attributes:
        error: One line.
        trace: Traceback of the plugin that raised; "" if none did.
        gate: If it was why.
    """

    error: str
    trace: str = ""
    gate: Gate | None = None


@dataclass(frozen=True)
class Step:
    """A step begins."""

    name: str
