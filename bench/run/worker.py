"""The worker of a run: turns units into answers. It knows no database, no task and no metric."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...scorers.base import Profile
from ..engine.prefill import Context
from ..errors import PluginFailure, reason_of, without_frames
from ..methods.choosing import Barred, choose_kept, read_context
from ..models.load import LoadedModel
from ..models.weights import ModelChanged
from .answer import Selected, answer_selected
from .unit import Unit, UnitAnswer, UnitConfiguration

Progress = Callable[[str], None]
"""Called before each step with its name: "prefill", or the methods that decode."""


@dataclass(frozen=True)
class Worker:
    """Answers units on one model. A failure belongs to its answer: the other answers and units go on.

    Attributes:
        loaded: The model, switched to store attention.
        profiles: By hash, at least those that the units name.
        barred: Plugins that changed what they were shown, which are not called again.
    """

    loaded: LoadedModel
    profiles: Mapping[str, Profile]
    barred: Barred = field(default_factory=dict)

    def answers(self, unit: Unit, batch: int, report: Progress) -> Iterator[UnitAnswer]:
        """An answer for each configuration of the unit, as soon as it is complete.

        Args:
            unit: The sample and its configurations.
            batch: At most so many configurations decode together.
            report: Called before each step.

        Raises:
            ModelChanged: a plugin changed the model's weights, and they cannot be read again.
        """
        unit = replace(unit, configurations=tuple(map(self._bound, unit.configurations)))
        report("prefill")
        methods = [configuration.method for configuration in unit.configurations]
        context: Context | Exception
        try:
            context = read_context(self.loaded, unit.context, methods, unit.seed, unit.n_sequence, self.barred)
        except ModelChanged:
            raise
        except Exception as error:  # out of memory, a device fault
            context = without_frames(error)
        if isinstance(context, Exception):
            yield from (failure(configuration, unit, context) for configuration in unit.configurations)
            return
        for first in range(0, len(unit.configurations), batch):
            together = unit.configurations[first : first + batch]
            rest = f" and {len(together) - 1} more" if len(together) > 1 else ""
            report(f"{together[0].method.label}{rest}")
            yield from self._batch(unit, together, context)

    def _bound(self, configuration: UnitConfiguration) -> UnitConfiguration:
        """The configuration with its method's plugins bound to their profiles."""
        profiles = {path: self.profiles[digest] for path, digest in configuration.profile_hashes.items()}
        return replace(configuration, method=configuration.method.with_profiles(profiles))

    def _batch(self, unit: Unit, together: Sequence[UnitConfiguration], context: Context) -> Iterator[UnitAnswer]:
        """Several configurations decode as one batch; if the batch fails, each is tried alone."""
        selected: list[Selected] = []
        for one in together:
            try:
                selected.append(self._select(unit, one, context))
            except ModelChanged:
                raise
            except (Exception, SystemExit) as error:  # a plugin may raise anything; only its own answer fails
                yield failure(one, unit, without_frames(error))
        if not selected:
            return
        answers = self._try(unit, selected, context)
        if not isinstance(answers, Exception):
            yield from answers
        elif len(selected) == 1:
            yield failure(selected[0].configuration, unit, answers)
        else:
            event = {"event": "batch_failed", "error": reason_of(answers), "configurations": len(selected)}
            for single in selected:
                alone = self._try(unit, [single.with_event(event)], context)
                yield failure(single.configuration, unit, alone) if isinstance(alone, Exception) else alone[0]

    def _select(self, unit: Unit, one: UnitConfiguration, context: Context) -> Selected:
        return Selected(one, choose_kept(self.loaded, one.method, context, unit.seed, self.barred))

    def _try(self, unit: Unit, selected: Sequence[Selected], context: Context) -> list[UnitAnswer] | Exception:
        """The answers, or what went wrong: out of memory, logits that are not finite."""
        try:
            return answer_selected(self.loaded, unit, selected, context)
        except Exception as error:
            return without_frames(error)


def failure(configuration: UnitConfiguration, unit: Unit, error: Exception) -> UnitAnswer:
    """The answer of a configuration that an error ended."""
    trace = error.trace if isinstance(error, PluginFailure) else ""
    return UnitAnswer.failure(configuration, unit, reason_of(error), trace)
