"""Reads and evicts contexts for requests of lm-eval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ... import UserError
from ..calibration.steps import Report
from ..engine.cache import StoreCache
from ..engine.evict import evict, keep_everything
from ..engine.likelihood import empty_context
from ..methods.allocation import check_budget
from ..methods.events import Event
from ..methods.eviction import check_methods, evict_alone, only_method
from ..methods.method import Method
from ..methods.profiles import profile_hashes, with_own_profiles
from ..models.load import LoadedModel
from ..record.configuration import recorded_hashes

KEPT_WHOLE = "kept_whole"
"""The event of a context that is too short for the budget: fewer tokens would be kept than are protected, or than the
allocator can serve."""


@dataclass(frozen=True)
class Reading:
    """A context that was read and evicted.

    Attributes:
        events: Recorded with each answer over it.
    """

    evicted: StoreCache
    n_context: int
    events: Sequence[Event] = ()

    def cache(self) -> StoreCache:
        """The cache as the eviction left it, without tokens fed later."""
        self.evicted.take_back(self.evicted.n_seen - self.n_context)
        return self.evicted


@dataclass(frozen=True)
class Evictor:
    """One method on one model."""

    loaded: LoadedModel
    method: Method
    seed: int

    @classmethod
    def prepare(cls, loaded: LoadedModel, method: Method, seed: int, report: Report) -> "Evictor":
        """Find or make the profiles that the method needs.

        Raises:
            UserError: its scorer reads what the model does not have, or it cannot evict by its schedule.
        """
        check_methods(loaded, [method])
        return cls(loaded, with_own_profiles(method, loaded, report), seed)

    @property
    def facts(self) -> dict[str, Any]:
        """The settings that determine what is kept, for a results file."""
        method = self.method
        own, others = recorded_hashes(profile_hashes(method.profiles))
        return {
            "allocator": method.allocator.label,
            "scorer": None if method.scorer is None else method.scorer.label,
            "ratio": None if method.budget.ratio is None else f"{method.budget.ratio:f}",
            "keep_tokens": method.budget.keep_tokens,
            "schedule": str(method.schedule),
            "sink": method.protection.sink,
            "window": method.protection.window,
            "seed": self.seed,
            "profile_hash": own,
        } | ({"profiles": others} if others else {})

    def check(self, n_tokens: int) -> None:
        """Refuse a budget that can be served neither over this many tokens nor over the model's longest context.

        Raises:
            UserError: it cannot be served; says what to change.
        """
        self.keeps_whole(n_tokens)

    def keeps_whole(self, n_tokens: int) -> bool:
        """Whether a context is too short for the budget. It is then kept whole, so that one short document does not end
        a run of lm-eval.

        Raises:
            UserError: the budget cannot be served over any context of the model.
        """
        if not n_tokens or self.method.scorer is None:
            return False
        try:
            check_budget(self.method, self.loaded.shape, n_tokens)
        except UserError:
            longest = self.loaded.shape.max_positions
            check_budget(self.method, self.loaded.shape, max(longest, n_tokens))
            return True
        return False

    def read(self, ids: Sequence[int], n_sequence: int) -> Reading:
        """Read and evict a context. It may be empty, and one too short for the budget is kept whole.

        Args:
            ids: Token ids of the context.
            n_sequence: Tokens of the whole sequence, from the context to the answer.

        Raises:
            UserError: as `check`.
            PluginError: the scorer or the allocator failed.
        """
        if not ids:
            context = empty_context(self.loaded, n_sequence)
            return Reading(evict(context, keep_everything(context), n_sequence, self.loaded.backend), 0)
        method, events = self.method, list[Event]()
        if self.keeps_whole(len(ids)):
            method, events = method.without_eviction, [{"event": KEPT_WHOLE, "n_tokens": len(ids)}]
        with only_method(self.method):
            evicted = evict_alone(self.loaded, ids, method, self.seed, n_sequence)
        return Reading(evicted.cache, len(ids), (*events, *evicted.selection.events))
