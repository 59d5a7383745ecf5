"""From what configurations keep of a context to their answers: evict, decode one alone or several as one batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..engine.clock import now
from ..engine.decode import Decoded, Decoding, decode
from ..engine.layouts import RAGGED
from ..engine.prefill import Context
from ..methods.choosing import Choice
from ..models.load import LoadedModel
from .unit import Seconds, Unit, UnitAnswer, UnitConfiguration


@dataclass(frozen=True)
class Selected:
    """A configuration and what it keeps of the context."""

    configuration: UnitConfiguration
    choice: Choice

    def with_event(self, event: Mapping[str, Any]) -> "Selected":
        """The same with one more event."""
        return replace(self, choice=replace(self.choice, events=(*self.choice.events, event)))


def answer_selected(
    loaded: LoadedModel, unit: Unit, selected: Sequence[Selected], context: Context
) -> list[UnitAnswer]:
    """The answers of configurations that decode together, in order."""
    room = len(unit.question) + unit.stop.max_new_tokens
    started = now(loaded.device)
    cache = RAGGED.build(context, [one.choice.kept for one in selected], room)
    compact_s = now(loaded.device) - started
    bytes_kept = cache.kv_bytes_by_row()
    decoding = decode(loaded, cache, [unit.question] * len(selected), unit.stop)
    return [
        _answer(loaded, unit, one, context, row, n_bytes, _seconds(context, one.choice, compact_s, decoding))
        for one, row, n_bytes in zip(selected, decoding.rows, bytes_kept, strict=True)
    ]


def _seconds(context: Context, choice: Choice, compact_s: float, decoding: Decoding) -> Seconds:
    if len(decoding.rows) > 1:
        return Seconds(prefill_s=context.prefill_s)
    evict_s = choice.choose_s + compact_s
    return Seconds(
        prefill_s=context.prefill_s,
        evict_s=evict_s,
        ttft_s=context.prefill_s + evict_s + decoding.first_token_s,
        tpot_s=decoding.tpot_s,
    )


def _answer(
    loaded: LoadedModel,
    unit: Unit,
    one: Selected,
    context: Context,
    row: Decoded,
    bytes_kept: int,
    seconds: Seconds,
) -> UnitAnswer:
    n_heads = loaded.shape.n_layers * loaded.shape.n_kv_heads
    return UnitAnswer(
        configuration_id=one.configuration.id,
        sample_id=unit.sample_id,
        text=row.text,
        n_context_tokens=context.n_tokens,
        n_question_tokens=len(unit.question),
        n_generated_tokens=len(row.ids),
        stop_reason=row.stop_reason,
        kv_tokens_full=n_heads * context.n_tokens,
        kv_tokens_kept=sum(len(layer.positions) for layer in one.choice.kept),
        kv_bytes_full=context.kv_bytes,
        kv_bytes_kept=bytes_kept,
        events=(*one.choice.events, *row.events),
        seconds=seconds,
        keep_counts=tuple(tuple(layer.offsets.diff().tolist()) for layer in one.choice.kept),
    )
