"""Which methods answer which task at which length under which seed: a grid's combinations, without those excluded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from .axes import Axes
from .model import Model

if TYPE_CHECKING:
    from ...tasks.catalog import TaskInfo
    from ..methods.method import Method
    from ..plugins.contract import Kind
    from ..plugins.plugin import Plugin
    from ..run.spec import TaskMethods


@dataclass(frozen=True)
class Exclusion:
    """Combinations to leave out: those that match every axis that is named.

    Attributes:
        axes: The values named; a budget's or scorer's never match the full cache, which has neither, and a schedule's
            does not, since the full cache's answers do not depend on it.
        text: As it was given.
    """

    axes: Axes
    text: str

    def matches(self, model: str | Model, method: "Method", info: "TaskInfo", length: int | None, seed: int) -> bool:
        """Whether a combination is left out."""
        axes = self.axes
        return (
            (not axes.models or model in axes.models)
            and (not axes.tasks or info.name in axes.tasks)
            and (not axes.lengths or length in axes.lengths)
            and (not axes.seeds or seed in axes.seeds)
            and (not axes.budgets or method.budget in axes.budgets)
            and (not axes.schedules or (method.scorer is not None and method.schedule in axes.schedules))
            and (not axes.allocators or _named(method.allocator, self._allocators))
            and (not axes.scorers or _named(method.scorer, self._scorers))
        )

    @cached_property
    def _allocators(self) -> frozenset[str]:
        return _labels("allocator", self.axes.allocators)

    @cached_property
    def _scorers(self) -> frozenset[str]:
        return _labels("scorer", self.axes.scorers)


def _labels(kind: "Kind", specs: Sequence[str]) -> frozenset[str]:
    """Names as they are; plugins with arguments by the label that any spelling of these arguments gives."""
    from ..plugins.registry import build

    return frozenset(build(kind, spec).label if ":" in spec else spec for spec in specs)


def _named(plugin: "Plugin | None", labels: frozenset[str]) -> bool:
    return plugin is not None and not labels.isdisjoint((plugin.name, plugin.label))


@dataclass(frozen=True)
class Matrix:
    """The combinations of a run.

    Attributes:
        grid: Every axis with its values.
        include: Combinations to add, whole.
        exclude: Those to leave out of the grid.
        own: The task of the user's documents, if it is among the grid's.
        floors: Whether floors are added to the methods of each block.
        oracles: Whether oracles are.
    """

    grid: Axes
    include: tuple[Axes, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    own: "TaskInfo | None" = None
    floors: bool = False
    oracles: bool = False

    @property
    def models(self) -> list[str | Model]:
        """Each once, in order."""
        return list(dict.fromkeys(model for block, _ in self._blocks() for model in block.models))

    def without_effect(self, sink: int | None, window: int | None, baselines: bool) -> list[str]:
        """The exclusions that match no combination of the grid. Raises as `of_model`."""
        whole = [
            (model, method, one)
            for model in self.grid.models
            for one in replace(self, include=(), exclude=()).of_model(model, sink, window, baselines)
            for method in one.methods
        ]
        return [
            rule.text
            for rule in self.exclude
            if not any(rule.matches(model, method, one.info, one.length, one.seed) for model, method, one in whole)
        ]

    def of_model(
        self, model: str | Model, sink: int | None, window: int | None, baselines: bool
    ) -> "tuple[TaskMethods, ...]":
        """The tasks of a model with the methods that answer them, in the order given, none of them empty.

        Raises:
            UserError: a plugin or its arguments, a length, a sink or a window that cannot be served.
        """
        from ..methods.added import Added
        from ..methods.method import build_methods
        from ..run.spec import TaskMethods, tasks_at_lengths

        added = Added(self.floors, self.oracles)
        chosen: dict[tuple[int, str, int | None], tuple[TaskInfo, dict[str, Method]]] = {}
        for block, rules in self._blocks():
            if model not in block.models:
                continue
            added.check(block.schedules)
            methods = build_methods(
                block.allocators, block.scorers, block.budgets, sink, window, baselines, block.schedules, added
            )
            for seed in block.seeds:
                for info, length in tasks_at_lengths(block.tasks, block.lengths, self.own):
                    kept = chosen.setdefault((seed, info.name, length), (info, {}))[1]
                    has_full = any(one.scorer is None for one in kept.values())
                    for method in methods:
                        if method.scorer is None and has_full:  # fed by another schedule, perhaps
                            continue
                        if not any(rule.matches(model, method, info, length, seed) for rule in rules):
                            kept.setdefault(method.label, method)
        return tuple(
            TaskMethods(info, length, seed, tuple(kept.values()))
            for (seed, _, length), (info, kept) in chosen.items()
            if kept
        )

    def _blocks(self) -> list[tuple[Axes, Sequence[Exclusion]]]:
        """The grid with the exclusions, and each included combination with the grid's values where it has none."""
        return [(self.grid, self.exclude), *((axes.over(self.grid), ()) for axes in self.include)]
