"""Measures one cell on a model that is loaded: the gate first, then a repeat that does not count, then the repeats."""

from collections.abc import Callable

from ...db.cost_records import RepeatRecord
from ..methods.eviction import evict_alone
from ..models.load import LoadedModel
from ..run.unit import Unit
from .batch import Batch, BatchLimit, largest_batch
from .footprint import kv_footprint
from .gate import check_gate
from .instruments import Instruments, decode_timed
from .request import CostSettings, Failed, Measured, Sizes

Report = Callable[[str], None]
"""Called before each step with its name."""


def measure(loaded: LoadedModel, unit: Unit, settings: CostSettings, report: Report) -> Measured | Failed:
    """What a unit's one configuration costs.

    Args:
        loaded: The model, switched to store attention; nothing else runs on its device.
        unit: Its configuration is bound to its profiles.
        settings: How it is measured.
        report: Called before each step.

    Raises:
        Exception: what a plugin raised, or that memory ran out.
    """
    report("gate")
    gate = check_gate(loaded, unit)
    if not gate.passed:
        reason = (
            f"the evicted cache's logits differ from the masked full cache's by {gate.error:.2g} standard deviations"
        )
        return Failed(f"GateError: {reason}, of at most {gate.tolerance:g}; nothing was timed", gate=gate)
    instruments = Instruments.of(loaded.device)
    report("warm-up")
    _repeat(loaded, unit, instruments)
    model_bytes = instruments.model_bytes()
    repeats = []
    for number in range(settings.n_repeats):
        report(f"repeat {number + 1} of {settings.n_repeats}")
        repeat, sizes = _repeat(loaded, unit, instruments)
        repeats.append(repeat)
        instruments.model_bytes()  # gives back what the repeat left
    batch = _batch(loaded, unit, instruments, settings, model_bytes, repeats, sizes, report)
    return Measured(
        gate=gate,
        sizes=sizes,
        repeats=tuple(repeats),
        clock=instruments.clock,
        memory=None if instruments.memory is None else instruments.memory.how,
        model_bytes=model_bytes,
        batch_rows=batch.rows,
        batch=batch.repeats,
        details=batch.details,
    )


def _repeat(loaded: LoadedModel, unit: Unit, instruments: Instruments) -> tuple[RepeatRecord, Sizes]:
    """Read the context, evict, decode."""
    (configuration,) = unit.configurations
    with instruments.reading() as read:
        evicted = evict_alone(loaded, unit.context, configuration.method, unit.seed, unit.n_sequence)
        kept = sum(map(sum, evicted.selection.keep_counts))
        kv_bytes_kept = sum(evicted.cache.kv_bytes_by_row())
        seconds = decode_timed(loaded, evicted.cache, unit)
    shape, n_context = loaded.shape, len(unit.context)
    slots_per_token, n_fed = shape.n_layers * shape.n_kv_heads, len(unit.question) + unit.stop.max_new_tokens - 1
    repeat = RepeatRecord(
        prefill_s=evicted.full.prefill_s,
        score_s=evicted.steps.score_s,
        allocate_s=evicted.steps.allocate_s,
        select_s=evicted.steps.select_s,
        compact_s=evicted.steps.compact_s,
        first_token_s=seconds.first_token_s,
        token_s=seconds.token_s,
        **read,
    )
    sizes = Sizes(
        kv_tokens_full=slots_per_token * n_context,
        kv_tokens_kept=kept,
        kv_bytes_full=evicted.full.kv_bytes,
        kv_bytes_kept=kv_bytes_kept,
        kv_bytes_allocated=evicted.cache.allocated_bytes,
        footprint=kv_footprint(
            evicted.held, n_context, slots_per_token, kept, n_fed, configuration.method.schedule.block
        ),
    )
    return repeat, sizes


def _batch(
    loaded: LoadedModel,
    unit: Unit,
    instruments: Instruments,
    settings: CostSettings,
    model_bytes: int | None,
    repeats: list[RepeatRecord],
    sizes: Sizes,
    report: Report,
) -> Batch:
    """The largest batch, where a limit was given."""
    if settings.max_memory is None:
        return Batch(None)
    peaks = [repeat.peak_bytes for repeat in repeats if repeat.peak_bytes is not None]
    if model_bytes is None or not peaks:
        return Batch(None, details={"no_batch": "the memory in use cannot be read on this device"})
    limit = BatchLimit(settings.max_memory, model_bytes, sizes.kv_bytes_allocated, max(max(peaks) - model_bytes, 0))
    return largest_batch(loaded, unit, instruments, limit, settings.n_repeats, report)
