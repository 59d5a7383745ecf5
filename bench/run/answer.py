"""Decodes answers over evicted contexts: one configuration, or several as one batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..engine.cache import StoreCache
from ..engine.clock import now
from ..engine.context import Context, FullCache
from ..engine.decode import Decoded, Decoding, decode, greedy
from ..engine.drafts import Drafts
from ..engine.layouts import SHARED, ragged
from ..engine.quicker import QuickerLayout
from ..methods.events import SHARED_CONTEXT, Event
from ..methods.evicted import Evicted
from ..methods.selection import Selection
from ..models.load import LoadedModel
from .unit import Seconds, Unit, UnitAnswer, UnitConfiguration


@dataclass(frozen=True)
class Selected:
    """A configuration and what it keeps of the context."""

    configuration: UnitConfiguration
    selection: Selection

    def with_event(self, event: Event) -> "Selected":
        """A copy with one more event."""
        return replace(self, selection=self.selection.with_event(event))


def answer_alone(
    loaded: LoadedModel, unit: Unit, configuration: UnitConfiguration, evicted: Evicted, drafts: Drafts | None
) -> UnitAnswer:
    """The answer over a context that the configuration evicted while it was read; without drafts, token by token."""
    selected = [Selected(configuration, evicted.selection)]
    return _decode(loaded, unit, selected, evicted.full, evicted.cache, evicted.steps.compact_s, drafts)[0]


def answer_selected(
    loaded: LoadedModel,
    unit: Unit,
    selected: Sequence[Selected],
    context: Context,
    quicker: QuickerLayout,
    drafts: Drafts | None,
    *,
    last: bool,
) -> list[UnitAnswer]:
    """The answers of configurations that decode together, in order.

    Args:
        loaded: The model.
        unit: The unit of the configurations.
        selected: The configurations.
        context: Held in memory; for the last batch its layers are released as the stores are built.
        quicker: Chooses the layout of several configurations; one alone has a ragged cache.
        drafts: Answers to the sample so far, to which these are added; None = token by token.
        last: Whether this is the last batch.
    """
    kept, room = [one.selection.kept for one in selected], unit.n_sequence - len(unit.context)
    layout = ragged(loaded.backend)
    if len(selected) > 1:
        guess = [] if drafts is None else drafts.after([], unit.stop.max_new_tokens)
        measured = quicker.choose(loaded, context, kept, len(unit.question) + len(guess), room)
        layout = measured.layout
        if layout is SHARED:
            event = {"event": SHARED_CONTEXT, "configurations": len(selected), "layer_s": measured.seconds}
            selected = [one.with_event(event) for one in selected]
    started = now(*loaded.devices)
    cache = layout.build(context.for_last_use() if last else context, kept, room)
    return _decode(loaded, unit, selected, context.full, cache, now(*loaded.devices) - started, drafts)


def _decode(
    loaded: LoadedModel,
    unit: Unit,
    selected: Sequence[Selected],
    full: FullCache,
    cache: StoreCache,
    compact_s: float,
    drafts: Drafts | None,
) -> list[UnitAnswer]:
    bytes_kept = cache.kv_bytes_by_row()
    decoding = decode(loaded, cache, [unit.question] * len(selected), unit.stop, greedy, drafts)
    timed = len(selected) == 1 and drafts is None
    return [
        _answer(loaded, unit, one, full, row, n_bytes, _seconds(full, one.selection, compact_s, decoding, timed=timed))
        for one, row, n_bytes in zip(selected, decoding.rows, bytes_kept, strict=True)
    ]


def _seconds(full: FullCache, selection: Selection, compact_s: float, decoding: Decoding, *, timed: bool) -> Seconds:
    if not timed:
        return Seconds(prefill_s=full.prefill_s)
    evict_s = selection.seconds + compact_s
    return Seconds(
        prefill_s=full.prefill_s,
        evict_s=evict_s,
        ttft_s=full.prefill_s + evict_s + decoding.first_token_s,
        tpot_s=decoding.tpot_s,
    )


def _answer(
    loaded: LoadedModel,
    unit: Unit,
    one: Selected,
    full: FullCache,
    row: Decoded,
    bytes_kept: int,
    seconds: Seconds,
) -> UnitAnswer:
    keep_counts = one.selection.keep_counts
    return UnitAnswer(
        configuration_id=one.configuration.id,
        sample_id=unit.sample_id,
        text=row.text,
        n_context_tokens=full.n_tokens,
        n_question_tokens=len(unit.question),
        n_generated_tokens=len(row.ids),
        n_steps=row.n_chosen,
        n_passes=row.n_passes,
        stop_reason=row.stop_reason,
        kv_tokens_full=loaded.shape.n_layers * loaded.shape.n_kv_heads * full.n_tokens,
        kv_tokens_kept=sum(map(sum, keep_counts)),
        kv_bytes_full=full.kv_bytes,
        kv_bytes_kept=bytes_kept,
        events=(*one.selection.events, *row.events),
        seconds=seconds,
        keep_counts=keep_counts,
    )
