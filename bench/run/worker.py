"""The worker of a run: turns units into answers. It knows no database, no task and no metric."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ...scorers.base import Profile
from ..engine.context import Context
from ..engine.drafts import Drafts
from ..engine.fidelity import FullAnswer
from ..engine.importance import SeenLayers
from ..engine.quicker import QuickerLayout
from ..errors import reason_of
from ..methods.events import NO_FIDELITY, Event
from ..methods.evicted import Barred
from ..methods.eviction import evict_alone, read_context, select_kept
from ..methods.selection import Selection
from ..models.load import LoadedModel
from .answer import Selected, answer_alone, answer_full, answer_selected
from .attempts import attempt, failure, no_fidelity
from .batching import Batching, Held, is_out_of_memory, n_fitting
from .choices import Choices
from .foresight import Foresight
from .unit import Unit, UnitAnswer, UnitConfiguration

Compared = tuple[FullAnswer | None, Event | None]
"""What the answers to a sample are compared with, or an event that says why they are not; neither where that is off."""

FullAnswers = dict[str, Compared]
"""By sample."""

Progress = Callable[[str], None]
"""Called before each step with its name: "prefill", or the methods that decode."""


@dataclass(frozen=True)
class Worker:
    """Answers units on one model. A failure concerns its own answer alone; other answers and units continue.

    A single configuration evicts while the context is read, and so does each that evicts block by block. Others, and
    oracles, share a context that is read once and held in memory; it is released while the last batch is built.

    Attributes:
        loaded: The model, switched to store attention.
        profiles: By hash, at least those that the units name.
        barred: Plugins that changed data they may only read; they are not called again.
        quicker: Measures which layout a batch decodes in.
        too_many: Half of each batch that memory did not hold; no later batch is larger.
    """

    loaded: LoadedModel
    profiles: Mapping[str, Profile]
    barred: Barred = field(default_factory=dict)
    quicker: QuickerLayout = field(default_factory=QuickerLayout)
    too_many: list[int] = field(default_factory=list)

    def answers(self, unit: Unit, batching: Batching, report: Progress) -> Iterator[UnitAnswer]:
        """An answer for each configuration of the unit, as soon as it is complete.

        Args:
            unit: The samples and their configurations.
            batching: How several of them decode.
            report: Called before each step.

        Raises:
            ModelChanged: a plugin changed the model's weights, and they cannot be read again.
        """
        configurations = tuple(one.bound(self.profiles) for one in unit.configurations)
        in_blocks = [one for one in configurations if one.method.schedule.block is not None]
        together = [one for one in configurations if one.method.schedule.block is None]
        full: FullAnswers = {}
        if batching.shares_context(together):
            sharing = replace(unit, configurations=tuple(together))
            yield from self._together(sharing, batching, report, full if in_blocks else None)
            together = []
        elif batching.fidelity and in_blocks:
            self._full_alone(unit, batching, report, full)
        for only in (*together, *in_blocks):
            yield from self._alone(replace(unit, configurations=(only,)), only, batching, report, full)

    def _together(
        self, unit: Unit, batching: Batching, report: Progress, full: FullAnswers | None
    ) -> Iterator[UnitAnswer]:
        """The answers of configurations that share a context. What they were compared with is added to `full`."""
        samples = unit.apart()
        if not samples:
            return
        report("prefill")
        methods = [configuration.method for configuration in unit.configurations]
        seen = SeenLayers()
        to_see = seen if any(method.is_oracle for method in methods) else None
        context = attempt(
            partial(read_context, self.loaded, unit.context, methods, unit.seed, unit.n_longest, self.barred, to_see)
        )
        if isinstance(context, Exception):  # out of memory, a device fault
            yield from (failure(one, each, context) for each in samples for one in each.configurations)
            if full is not None:
                full.update({each.sample_id: (None, no_fidelity(context)) for each in samples})
            return
        choices = Choices(context, Foresight(self.loaded, context, seen), unit.configurations)
        for each in samples:
            compared = yield from self._over(each, choices, batching, report, is_last=each is samples[-1])
            if full is not None:
                full[each.sample_id] = compared

    def _full_alone(self, unit: Unit, batching: Batching, report: Progress, full: FullAnswers) -> None:
        """Add the full cache's answers to `full`, for configurations none of which shares a context with it."""
        report("full cache")
        read = partial(read_context, self.loaded, unit.context, [], unit.seed, unit.n_longest, self.barred)
        context = attempt(read)
        for each in unit.apart():
            drafts = self._drafts(each, batching)
            if isinstance(context, Exception):
                full[each.sample_id] = None, no_fidelity(context)
            elif drafts is not None:
                result = attempt(partial(answer_full, self.loaded, each, context, drafts, None))
                full[each.sample_id] = (
                    (None, no_fidelity(result)) if isinstance(result, Exception) else (result[0], None)
                )

    def _over(
        self, unit: Unit, choices: Choices, batching: Batching, report: Progress, *, is_last: bool
    ) -> Generator[UnitAnswer, None, Compared]:
        """The answers to a sample over a context, batch by batch; returns what they were compared with. Where they
        draft each other, the full cache comes first and alone; where they are not compared with it and it is not among
        them, the configuration that keeps most."""
        waiting, drafts = list(unit.configurations), self._drafts(unit, batching)
        full_answer, event = None, None
        if drafts is not None:
            waiting.sort(key=lambda one: one is not _most_kept(unit))
            if batching.fidelity is not False:
                report("full cache")
                full_answer, event, waiting = yield from self._full(unit, waiting, choices, drafts, is_last=is_last)
        leads = drafts is not None and full_answer is None
        while waiting:
            n = 1 if leads else self._n(unit, waiting, choices, batching, full_answer)
            leads = False
            together, waiting = waiting[:n], waiting[n:]
            rest = f" and {n - 1} more" if n > 1 else ""
            report(f"{together[0].method.label}{rest}")
            selected = yield from self._select(unit, together, choices, is_last=is_last)
            choices.drop_tables()
            selected = selected if event is None else [one.with_event(event) for one in selected]
            last = is_last and not waiting
            yield from self._decode(unit, selected, choices.context, drafts, full_answer, last=last)
        return full_answer, event

    def _full(
        self, unit: Unit, waiting: list[UnitConfiguration], choices: Choices, drafts: Drafts, *, is_last: bool
    ) -> Generator[UnitAnswer, None, tuple[FullAnswer | None, Event | None, list[UnitConfiguration]]]:
        """Decode the full cache, whether or not its configuration waits; yields its answer if it does. Returns the
        full answer, or an event of the others' answers where it failed, and the configurations that wait still."""
        own, rest = waiting[:1], waiting[1:]
        if own[0].method.scorer is not None:
            own, rest = [], waiting
        selected = yield from self._select(unit, own, choices, is_last=is_last)
        if len(selected) < len(own):
            return None, {"event": NO_FIDELITY}, rest
        cell = next(iter(selected), None)
        result = attempt(partial(answer_full, self.loaded, unit, choices.context, drafts, cell))
        if isinstance(result, Exception):  # its configuration answers without the comparison, if it can
            return None, no_fidelity(result), waiting
        full_answer, answers = result
        yield from answers
        return full_answer, None, rest

    def _n(
        self,
        unit: Unit,
        waiting: Sequence[UnitConfiguration],
        choices: Choices,
        batching: Batching,
        full_answer: FullAnswer | None,
    ) -> int:
        """How many of the waiting configurations decode together; no more than memory held before."""
        n_draft, bytes_on = None, choices.held_bytes()
        if full_answer is not None:
            n_draft = len(full_answer.draft)
            bytes_on[full_answer.logits.device] += full_answer.logits.nbytes
        held = Held(bytes_on, choices.held)
        most = batching.most or n_fitting(self.loaded, unit, waiting, batching, n_draft, held)
        return min(most, len(waiting), *self.too_many)

    def _alone(
        self, unit: Unit, only: UnitConfiguration, batching: Batching, report: Progress, full: FullAnswers
    ) -> Iterator[UnitAnswer]:
        """The answers of the unit's only configuration, over a cache that is evicted once."""
        samples = unit.apart()
        if not samples:
            return
        report("prefill")
        evicted = attempt(
            partial(evict_alone, self.loaded, unit.context, only.method, unit.seed, unit.n_longest, self.barred)
        )
        for each in samples:
            if isinstance(evicted, Exception):
                yield failure(only, each, evicted)
                continue
            report(only.method.label)
            if each is not samples[0]:
                evicted.cache.take_all_back()
            drafts, (full_answer, event) = self._drafts(each, batching), full.get(each.sample_id, (None, None))
            result = attempt(partial(answer_alone, self.loaded, each, only, evicted, drafts, full_answer, event))
            if isinstance(result, Exception) and full_answer is not None:
                evicted.cache.take_all_back()
                event = no_fidelity(result)
                result = attempt(partial(answer_alone, self.loaded, each, only, evicted, drafts, None, event))
            yield failure(only, each, result) if isinstance(result, Exception) else result

    def _drafts(self, unit: Unit, batching: Batching) -> Drafts | None:
        """Drafts from the unit's prompt, to which its answers are added as they are complete; None where a recurrent
        state could not give back their wrong tokens."""
        if not batching.drafts or self.loaded.shape.stateful:
            return None
        return Drafts((*unit.context, *unit.question))

    def _select(
        self, unit: Unit, together: Sequence[UnitConfiguration], choices: Choices, *, is_last: bool
    ) -> Generator[UnitAnswer, None, list[Selected]]:
        """What each configuration keeps; yields the answers of those that fail."""
        selected: list[Selected] = []
        for one in together:
            choose = partial(attempt, partial(self._selection, unit, one, choices))
            selection = choices.of(one, choose, is_last=is_last)
            if isinstance(selection, Exception):
                yield failure(one, unit, selection)
            else:
                selected.append(Selected(one, selection))
        return selected

    def _selection(self, unit: Unit, one: UnitConfiguration, choices: Choices) -> Selection:
        future = choices.foresight.of(unit) if one.method.is_oracle else None
        return select_kept(self.loaded, one.method, choices.context, unit.seed, self.barred, future)

    def _decode(
        self,
        unit: Unit,
        selected: Sequence[Selected],
        context: Context,
        drafts: Drafts | None,
        full_answer: FullAnswer | None,
        *,
        last: bool,
    ) -> Iterator[UnitAnswer]:
        """Decode several configurations as one batch. If it fails, decode its halves if memory ran out, else each
        configuration alone, and if that fails, once more without comparing it with the full cache."""
        if not selected:
            return
        step = partial(
            answer_selected, self.loaded, unit, selected, context, self.quicker, drafts, full_answer, last=last
        )
        answers = attempt(step)
        if not isinstance(answers, Exception):
            yield from answers
        elif len(selected) == 1 and full_answer is None:
            yield failure(selected[0].configuration, unit, answers)
        elif len(selected) == 1:
            again = attempt(context.read_anew) if last else context
            if isinstance(again, Exception):
                yield failure(selected[0].configuration, unit, again)
            else:
                uncompared = [selected[0].with_event(no_fidelity(answers))]
                yield from self._decode(unit, uncompared, again, drafts, None, last=last)
        else:
            yield from self._decode_parts(unit, selected, context, drafts, full_answer, answers, last=last)

    def _decode_parts(
        self,
        unit: Unit,
        selected: Sequence[Selected],
        context: Context,
        drafts: Drafts | None,
        full_answer: FullAnswer | None,
        error: Exception,
        *,
        last: bool,
    ) -> Iterator[UnitAnswer]:
        """Decode the parts of a batch that failed."""
        n = 1
        if is_out_of_memory(error):
            n = (len(selected) + 1) // 2
            self.too_many.append(n)
        event = {"event": "batch_failed", "error": reason_of(error), "configurations": len(selected)}
        again = attempt(context.read_anew) if last else context
        selected = [one.with_event(event) for one in selected]
        for first in range(0, len(selected), n):
            part = selected[first : first + n]
            if isinstance(again, Exception):
                yield from (failure(one.configuration, unit, again) for one in part)
            else:
                yield from self._decode(unit, part, again, drafts, full_answer, last=last and part[-1] is selected[-1])


def _most_kept(unit: Unit) -> UnitConfiguration:
    """The configuration that keeps most of the context, the first among equals."""
    n_tokens = len(unit.context)
    return max(unit.configurations, key=lambda one: (one.method.scorer is None, one.method.budget.per_head(n_tokens)))
