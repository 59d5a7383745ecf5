"""The largest batch within a memory limit: estimated from what one row takes, then measured."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...db.cost_records import RepeatRecord
from ...db.sizes import size
from ..engine.cache import StoreCache
from ..methods.eviction import evict_alone
from ..models.load import LoadedModel
from ..run.batching import is_out_of_memory
from ..run.unit import Unit
from .instruments import Instruments, decode_timed

MOST_ROWS = 256


@dataclass(frozen=True)
class Batch:
    """The largest batch that fits.

    Attributes:
        rows: None where not even one row does, or where memory cannot be read.
        repeats: As many as were asked for; none without rows.
        details: How it was found.
    """

    rows: int | None
    repeats: tuple[RepeatRecord, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchLimit:
    """What a batch may take.

    Attributes:
        max_memory: Bytes beside the model.
        model_bytes: Bytes of the model.
        row_bytes: Of one row's stores.
        alone_bytes: The most that one row took beside the model, from the prefill to the last token.
    """

    max_memory: int
    model_bytes: int
    row_bytes: int
    alone_bytes: int

    @property
    def estimate(self) -> int:
        """Rows whose stores fit beside all that one row needs; 0 where one does not."""
        if self.alone_bytes > self.max_memory:
            return 0
        return min(1 + (self.max_memory - self.alone_bytes) // self.row_bytes, MOST_ROWS)

    def fewer(self, rows: int, peak: int) -> int:
        """Rows to try after so many took too much: as many as the measured bytes allow, at least one fewer."""
        return max(min(rows - 1, rows * self.max_memory // max(peak - self.model_bytes, 1)), 1)


def largest_batch(
    loaded: LoadedModel,
    unit: Unit,
    instruments: Instruments,
    limit: BatchLimit,
    n_repeats: int,
    report: Callable[[str], None],
) -> Batch:
    """Decode the largest batch that stays within the limit, every row with a copy of its own of the evicted context."""
    rows, tried = limit.estimate, list[dict[str, Any]]()
    if not rows:
        reason = f"one row alone takes {size(limit.alone_bytes)} beside the model, more than {size(limit.max_memory)}"
        return Batch(None, details={"no_batch": reason})
    while True:
        report(f"batch of {rows}")
        peak = _peak(loaded, unit, instruments, rows)
        tried.append({"rows": rows, "bytes": None if peak is None else peak - limit.model_bytes})
        if peak is not None and peak - limit.model_bytes <= limit.max_memory:
            break
        if rows == 1:
            return Batch(None, details={"no_batch": "one row alone takes more than the limit", "tried": tried})
        rows = rows // 2 if peak is None else limit.fewer(rows, peak)
    return Batch(rows, _repeats(loaded, unit, instruments, rows, n_repeats, report), {"tried": tried})


def _peak(loaded: LoadedModel, unit: Unit, instruments: Instruments, rows: int) -> int | None:
    """The most memory in use while a batch is built and decodes once; None where it ran out."""
    instruments.model_bytes()  # gives back what an earlier batch left
    try:
        with instruments.reading() as read:
            decode_timed(loaded, _cache(loaded, unit, rows), unit)
    except Exception as error:
        if is_out_of_memory(error):
            return None
        raise
    return int(read["peak_bytes"])


def _repeats(
    loaded: LoadedModel,
    unit: Unit,
    instruments: Instruments,
    rows: int,
    n_repeats: int,
    report: Callable[[str], None],
) -> tuple[RepeatRecord, ...]:
    cache, repeats = _cache(loaded, unit, rows), []
    for number in range(n_repeats):
        report(f"batch of {rows}, repeat {number + 1} of {n_repeats}")
        with instruments.reading() as read:
            seconds = decode_timed(loaded, cache, unit)
        repeats.append(RepeatRecord(first_token_s=seconds.first_token_s, token_s=seconds.token_s, **read))
        cache.take_all_back()
    return tuple(repeats)


def _cache(loaded: LoadedModel, unit: Unit, rows: int) -> StoreCache:
    (configuration,) = unit.configurations
    context, method = unit.context, configuration.method
    return evict_alone(loaded, context, method, unit.seed, unit.n_sequence, n_rows=rows).cache
