"""The worker of a run: turns units into answers. It knows no database, no task and no metric."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from ...scorers.base import Profile
from ..engine.context import Context
from ..errors import PluginFailure, reason_of, without_frames
from ..methods.eviction import Barred, evict_alone, read_context, select_kept
from ..methods.selection import Selection
from ..models.load import LoadedModel
from ..models.weights import ModelChanged
from .answer import Selected, answer_alone, answer_selected
from .unit import Unit, UnitAnswer, UnitConfiguration

T = TypeVar("T")

Progress = Callable[[str], None]
"""Called before each step with its name: "prefill", or the methods that decode."""


@dataclass(frozen=True)
class Worker:
    """Answers units on one model. A failure concerns its own answer alone; other answers and units continue.

    A single configuration evicts while the context is read. Several share a context that is read once and held in
    memory; it is released while the last batch is built.

    Attributes:
        loaded: The model, switched to store attention.
        profiles: By hash, at least those that the units name.
        barred: Plugins that changed data they may only read; they are not called again.
    """

    loaded: LoadedModel
    profiles: Mapping[str, Profile]
    barred: Barred = field(default_factory=dict)

    def answers(self, unit: Unit, batch: int, report: Progress) -> Iterator[UnitAnswer]:
        """An answer for each configuration of the unit, as soon as it is complete.

        Args:
            unit: The sample and its configurations.
            batch: The most configurations that decode together.
            report: Called before each step.

        Raises:
            ModelChanged: a plugin changed the model's weights, and they cannot be read again.
        """
        unit = replace(unit, configurations=tuple(map(self._bound, unit.configurations)))
        report("prefill")
        if len(unit.configurations) == 1:
            (only,) = unit.configurations
            result = _attempt(partial(self._alone, unit, only, report))
            yield failure(only, unit, result) if isinstance(result, Exception) else result
            return
        methods = [configuration.method for configuration in unit.configurations]
        context = _attempt(
            partial(read_context, self.loaded, unit.context, methods, unit.seed, unit.n_sequence, self.barred)
        )
        if isinstance(context, Exception):  # out of memory, a device fault
            yield from (failure(configuration, unit, context) for configuration in unit.configurations)
            return
        for first in range(0, len(unit.configurations), batch):
            together, later = unit.configurations[first : first + batch], unit.configurations[first + batch :]
            rest = f" and {len(together) - 1} more" if len(together) > 1 else ""
            report(f"{together[0].method.label}{rest}")
            selected = yield from self._select(unit, together, context)
            context.drop_tables({configuration.method.table for configuration in later})
            yield from self._decode(unit, selected, context, last=not later)

    def _alone(self, unit: Unit, only: UnitConfiguration, report: Progress) -> UnitAnswer:
        evicted = evict_alone(self.loaded, unit.context, only.method, unit.seed, unit.n_sequence, self.barred)
        report(only.method.label)
        return answer_alone(self.loaded, unit, only, evicted)

    def _select(
        self, unit: Unit, together: Sequence[UnitConfiguration], context: Context
    ) -> Generator[UnitAnswer, None, list[Selected]]:
        """What each configuration keeps; yields the answers of those that fail."""
        selected: list[Selected] = []
        for one in together:
            selection = _attempt(partial(self._selection, unit, one, context))
            if isinstance(selection, Exception):
                yield failure(one, unit, selection)
            else:
                selected.append(Selected(one, selection))
        return selected

    def _selection(self, unit: Unit, one: UnitConfiguration, context: Context) -> Selection:
        return select_kept(self.loaded, one.method, context, unit.seed, self.barred)

    def _decode(
        self, unit: Unit, selected: Sequence[Selected], context: Context, *, last: bool
    ) -> Iterator[UnitAnswer]:
        """Decode several configurations as one batch; if the batch fails, decode each alone."""
        if not selected:
            return
        answers = _attempt(partial(answer_selected, self.loaded, unit, selected, context, last=last))
        if not isinstance(answers, Exception):
            yield from answers
        elif len(selected) == 1:
            yield failure(selected[0].configuration, unit, answers)
        else:
            again = _attempt(context.read_anew) if last else context
            event = {"event": "batch_failed", "error": reason_of(answers), "configurations": len(selected)}
            for single in selected:
                if isinstance(again, Exception):
                    yield failure(single.configuration, unit, again)
                else:
                    is_last = last and single is selected[-1]
                    yield from self._decode(unit, [single.with_event(event)], again, last=is_last)

    def _bound(self, configuration: UnitConfiguration) -> UnitConfiguration:
        """The configuration with its method's plugins bound to their profiles."""
        profiles = {path: self.profiles[digest] for path, digest in configuration.profile_hashes.items()}
        return replace(configuration, method=configuration.method.with_profiles(profiles))


def _attempt(step: Callable[[], T]) -> T | Exception:
    """The result of a step, or the exception it raised: a plugin may raise anything, and memory may run out.

    Raises:
        ModelChanged: the run cannot continue.
    """
    try:
        return step()
    except ModelChanged:
        raise
    except (Exception, SystemExit) as error:
        return without_frames(error)


def failure(configuration: UnitConfiguration, unit: Unit, error: Exception) -> UnitAnswer:
    """The answer of a configuration that an error ended."""
    trace = error.trace if isinstance(error, PluginFailure) else ""
    return UnitAnswer.failure(configuration, unit, reason_of(error), trace)
