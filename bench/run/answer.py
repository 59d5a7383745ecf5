"""Decodes answers over evicted contexts: one configuration, or several as one batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..engine.cache import StoreCache
from ..engine.clock import now
from ..engine.context import Context, FullCache
from ..engine.decode import Decoded, Decoding, decode, fed_at_most, greedy
from ..engine.drafts import Drafts
from ..engine.evict import keep_everything
from ..engine.feed import MESSAGE
from ..engine.fidelity import Fidelity, FidelityObserver, FullAnswer, FullAnswerObserver, reference_nlls
from ..engine.layouts import SHARED, ragged
from ..engine.quicker import QuickerLayout
from ..methods.events import NO_FIDELITY, SHARED_CONTEXT, Event
from ..methods.evicted import Evicted
from ..methods.kept_evidence import kept_evidence
from ..methods.selection import Selection
from ..models.load import LoadedModel
from .unit import Seconds, Unit, UnitAnswer, UnitConfiguration

NOT_COMPARED: Event = {"event": NO_FIDELITY, "error": MESSAGE}
"""Of an answer whose own tokens have finite logits, and others of the full cache's answer do not."""


@dataclass(frozen=True)
class Selected:
    """A configuration and what it keeps of the context."""

    configuration: UnitConfiguration
    selection: Selection

    def with_event(self, event: Event) -> "Selected":
        """A copy with one more event."""
        return replace(self, selection=self.selection.with_event(event))


def answer_alone(
    loaded: LoadedModel,
    unit: Unit,
    configuration: UnitConfiguration,
    evicted: Evicted,
    drafts: Drafts | None,
    full_answer: FullAnswer | None,
    event: Event | None,
) -> UnitAnswer:
    """The answer over a context that the configuration evicted while it was read, with one more event where there is
    one; without drafts, token by token."""
    one = Selected(configuration, evicted.selection)
    selected, steps = [one if event is None else one.with_event(event)], evicted.steps
    return _decode(loaded, unit, selected, evicted.full, evicted.cache, steps.compact_s, drafts, full_answer)[0]


def answer_full(
    loaded: LoadedModel, unit: Unit, context: Context, drafts: Drafts, cell: Selected | None
) -> tuple[FullAnswer, list[UnitAnswer]]:
    """What the full cache answers, which other answers are compared with, and as the answer of its configuration.

    Args:
        loaded: The model.
        unit: The unit.
        context: Held in memory.
        drafts: The answer is added to these.
        cell: The configuration of the full cache, if the unit has it.
    """
    room = unit.n_sequence - len(unit.context)
    kept = keep_everything(context) if cell is None else cell.selection.kept
    cache = ragged(loaded.backend).build(context, [kept], room)
    (bytes_kept,) = cache.kv_bytes_by_row()
    observer = FullAnswerObserver(unit.reference)
    first_draft = unit.reference[: fed_at_most(unit.stop.max_new_tokens)] or None
    decoding = decode(loaded, cache, [unit.question], unit.stop, greedy, drafts, first_draft, observer)
    if cell is None:
        return observer.answer, []
    own = observer.answer.own_fidelity
    seconds = Seconds(prefill_s=context.full.prefill_s)
    answer = _answer(loaded, unit, cell, context.full, decoding.rows[0], bytes_kept, seconds, own)
    return observer.answer, [answer]


def answer_selected(
    loaded: LoadedModel,
    unit: Unit,
    selected: Sequence[Selected],
    context: Context,
    quicker: QuickerLayout,
    drafts: Drafts | None,
    full_answer: FullAnswer | None,
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
        full_answer: The full cache's, which these are compared with; None = they are not.
        last: Whether this is the last batch.
    """
    kept, room = [one.selection.kept for one in selected], unit.n_sequence - len(unit.context)
    layout = ragged(loaded.backend)
    if len(selected) > 1:
        measured = quicker.choose(loaded, context, kept, _n_first(unit, drafts, full_answer), room)
        layout = measured.layout
        if layout is SHARED:
            event = {"event": SHARED_CONTEXT, "configurations": len(selected), "layer_s": measured.seconds}
            selected = [one.with_event(event) for one in selected]
    started = now(*loaded.devices)
    cache = layout.build(context.for_last_use() if last else context, kept, room)
    return _decode(loaded, unit, selected, context.full, cache, now(*loaded.devices) - started, drafts, full_answer)


def _n_first(unit: Unit, drafts: Drafts | None, full_answer: FullAnswer | None) -> int:
    """Tokens that the first pass of a row feeds."""
    if full_answer is not None:
        return len(unit.question) + len(full_answer.draft)
    return len(unit.question) + (0 if drafts is None else len(drafts.after([], unit.stop.max_new_tokens)))


def _decode(
    loaded: LoadedModel,
    unit: Unit,
    selected: Sequence[Selected],
    full: FullCache,
    cache: StoreCache,
    compact_s: float,
    drafts: Drafts | None,
    full_answer: FullAnswer | None,
) -> list[UnitAnswer]:
    bytes_kept = cache.kv_bytes_by_row()
    if full_answer is None:
        decoding = decode(loaded, cache, [unit.question] * len(selected), unit.stop, greedy, drafts)
        fidelities: Mapping[int, Fidelity | None] = {}
    else:
        decoding, fidelities = _decode_beside(loaded, unit, cache, drafts, full_answer)
    timed = len(selected) == 1 and drafts is None and not selected[0].configuration.method.is_oracle
    return [
        _answer(
            loaded,
            unit,
            one.with_event(NOT_COMPARED) if full_answer is not None and fidelities.get(row) is None else one,
            full,
            decoding.rows[row],
            bytes_kept[row],
            _seconds(full, one.selection, compact_s, decoding, timed=timed),
            fidelities.get(row),
        )
        for row, one in enumerate(selected)
    ]


def _decode_beside(
    loaded: LoadedModel, unit: Unit, cache: StoreCache, drafts: Drafts | None, full_answer: FullAnswer
) -> tuple[Decoding, Mapping[int, Fidelity | None]]:
    """Decode rows from the full cache's answer as their first draft; the fidelity of each."""
    n_rows, question, nlls = len(cache.n_seen), unit.question, None
    if not full_answer.begins_with_reference:
        nlls = reference_nlls(loaded, cache, question, full_answer.reference)
        question = question[-1:]
    observer = FidelityObserver(full_answer, nlls)
    decoding = decode(loaded, cache, [question] * n_rows, unit.stop, greedy, drafts, full_answer.draft, observer)
    for row in decoding.rows if nlls is not None else ():
        row.n_passes += 1
    return decoding, observer.fidelities


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
    fidelity: Fidelity | None,
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
        kept_hash=one.selection.kept_hash,
        fidelity=fidelity,
        evidence=kept_evidence(one.selection.kept, unit.evidence),
    )
