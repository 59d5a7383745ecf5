"""A method: an allocator, a scorer, a budget and a schedule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...allocators.base import Needs
from ...scorers.base import Profile, Protection
from ..plugins.bind import with_profiles
from ..plugins.contract import Kind
from ..plugins.plugin import Plugin
from ..plugins.registry import build
from .added import NOTHING_ADDED, Added, Pair
from .budget import Budget
from .protection import check_protected, check_protection
from .schedule import ONE_SHOT, Schedule


@dataclass(frozen=True)
class Method:
    """An allocator, its scorer and a budget. The full cache has no scorer and an empty budget.

    Attributes:
        profiles: Of its plugins, by path ("scorer", "allocator.of"); empty until `with_profiles`.
        schedule: When it evicts; for the full cache how the context is fed.
    """

    allocator: Plugin
    scorer: Plugin | None
    budget: Budget
    protection: Protection
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    schedule: Schedule = ONE_SHOT

    @property
    def label(self) -> str:
        """As written on the command line."""
        scored = "" if self.scorer is None else f" x {self.scorer.label} @ {self.budget}"
        return self.allocator.label + scored + ("" if self.schedule == ONE_SHOT else f", {self.schedule}")

    @property
    def without_eviction(self) -> "Method":
        """A copy that keeps every token, as the full cache does."""
        return replace(self, scorer=None, budget=Budget(), protection=Protection(0, 0), schedule=ONE_SHOT)

    @property
    def table(self) -> str:
        """Name of its score table. A scorer that reads the budget has one for each budget, any other a single one."""
        if self.scorer is None:
            return ""
        return f"{self.scorer.label} @ {self.budget}" if self.scorer.instance.reads.budget else self.scorer.label

    @property
    def measures_table(self) -> str | None:
        """Name of the table of its allocator's measures; None if it makes none."""
        if self.scorer is None or self.allocator.instance.needs is not Needs.MEASURES:
            return None
        return f"measures of {self.allocator.label}"

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of all tables that it needs."""
        scored = () if self.scorer is None else (self.table,)
        return scored if self.measures_table is None else (*scored, self.measures_table)

    @property
    def reading_future(self) -> tuple[Kind, ...]:
        """Which of its two plugins read the future; where one does, the method is an oracle."""
        if self.scorer is None:
            return ()
        allocates, ranks = self.allocator.instance.needs is Needs.FUTURE, self.scorer.instance.reads.future
        return (*(("allocator",) if allocates else ()), *(("scorer",) if ranks else ()))

    @property
    def is_oracle(self) -> bool:
        """Whether it reads the future, which no cache knows: it is shown beside others and ranked nowhere."""
        return bool(self.reading_future)

    def owners(self) -> dict[str, Plugin]:
        """The plugins that have a profile, by path and in the order in which they are fitted; the scorer's first."""
        if self.scorer is None:
            return {}
        return self.scorer.owners("scorer") | self.allocator.owners("allocator")

    def with_profiles(self, profiles: Mapping[str, Profile]) -> "Method":
        """The method with its plugins bound to their profiles.

        Args:
            profiles: By path.

        Raises:
            PluginError: a plugin refuses to hold another in this way.
        """

        def bound(plugin: Plugin, path: str) -> Plugin:
            return replace(plugin, instance=with_profiles(plugin, path, profiles))

        scorer = None if self.scorer is None else bound(self.scorer, "scorer")
        return replace(self, allocator=bound(self.allocator, "allocator"), scorer=scorer, profiles=profiles)


def build_methods(
    allocators: Sequence[str],
    scorers: Sequence[str],
    budgets: Sequence[Budget],
    sink: int | None,
    window: int | None,
    baselines: bool,
    schedules: Sequence[Schedule] = (ONE_SHOT,),
    added: Added = NOTHING_ADDED,
) -> tuple[Method, ...]:
    """Every allocator with every scorer at every budget by every schedule, and what is added to them.

    The full cache is there once, since its answers do not depend on the schedule: one-shot, unless it is among the
    allocators and all schedules are others.

    Raises:
        UserError: an unknown or broken plugin, a bad argument, a negative sink or window.
    """
    check_protection(sink, window)
    specs = [*(["full", "uniform"] if baselines else []), *allocators]
    plugins = {plugin.label: plugin for plugin in (build("allocator", spec) for spec in specs)}
    ranked = {plugin.label: plugin for plugin in (build("scorer", spec) for spec in scorers)}
    every = [(allocator, scorer) for scorer in ranked.values() for allocator in plugins.values()]
    more = {schedule: _built(added.pairs(scorers, schedule)) for schedule in schedules}
    named = (
        Method(allocator, scorer, budget, resolve_protection(scorer, sink, window), schedule=schedule)
        for budget in budgets
        for schedule in schedules
        for allocator, scorer in (*every, *more[schedule])
        if allocator.name != "full"
    )
    methods = {method.label: method for method in named}.values()
    for method in methods:
        check_protected(method.budget, method.protection.sink + method.protection.window)
    is_asked = any(spec.partition(":")[0] == "full" for spec in allocators)
    fed = schedules[0] if is_asked and ONE_SHOT not in schedules else ONE_SHOT
    full = [
        Method(plugin, None, Budget(), Protection(0, 0), schedule=fed)
        for plugin in plugins.values()
        if plugin.name == "full"
    ]
    return (*full, *methods)


def _built(pairs: Sequence[Pair]) -> list[tuple[Plugin, Plugin]]:
    return [(build("allocator", allocator), build("scorer", scorer)) for allocator, scorer in pairs]


def resolve_protection(scorer: Plugin, sink: int | None, window: int | None) -> Protection:
    """The scorer's own sink and window where the user gave none.

    Raises:
        UserError: one is negative.
    """
    check_protection(sink, window)
    own: Protection = scorer.instance.protection
    return Protection(own.sink if sink is None else sink, own.window if window is None else window)
