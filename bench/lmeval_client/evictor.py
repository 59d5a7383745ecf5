"""Reads a context, evicts it, and gives its cache to every request that stands on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ... import UserError
from ..calibration.calibrate import Report
from ..engine.cache import StoreCache
from ..engine.evict import evict, keep_everything
from ..engine.likelihood import empty_context
from ..methods.allocation import check_budget
from ..methods.events import Event
from ..methods.eviction import check_scorers, evict_alone, only_method
from ..methods.method import Method
from ..methods.profiles import profile_hashes, with_own_profiles
from ..models.load import LoadedModel
from ..record.configuration import recorded_hashes

KEPT_WHOLE = "kept_whole"
"""The event of a context that is too short for the budget: it keeps fewer tokens than are protected, or than the
allocator can deal out."""


@dataclass(frozen=True)
class Reading:
    """A context that was read and evicted.

    Attributes:
        events: What a reader of an answer over it must know.
    """

    evicted: StoreCache
    n_context: int
    events: Sequence[Event] = ()

    def cache(self) -> StoreCache:
        """The cache as the eviction left it: what was fed over it before is taken back."""
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
            UserError: its scorer reads what the model does not have.
        """
        check_scorers(loaded, [method])
        return cls(loaded, with_own_profiles(method, loaded, report), seed)

    @property
    def facts(self) -> dict[str, Any]:
        """What decides what is kept, for a results file."""
        method = self.method
        own, others = recorded_hashes(profile_hashes(method.profiles))
        return {
            "allocator": method.allocator.label,
            "scorer": None if method.scorer is None else method.scorer.label,
            "ratio": None if method.budget.ratio is None else f"{method.budget.ratio:f}",
            "keep_tokens": method.budget.keep_tokens,
            "sink": method.protection.sink,
            "window": method.protection.window,
            "seed": self.seed,
            "profile_hash": own,
        } | ({"profiles": others} if others else {})

    def check(self, n_tokens: int) -> None:
        """Refuse a budget that cannot be served over so many tokens, nor over the longest context that the model
        takes; nothing is evicted of none.

        Raises:
            UserError: with what to change.
        """
        self.keeps_whole(n_tokens)

    def keeps_whole(self, n_tokens: int) -> bool:
        """Whether a context is too short for the budget, which a longer one would serve: it is kept whole, since one
        tiny document must not cost a run of lm-eval all its other answers.

        Raises:
            UserError: the model takes no context over which the budget could be served.
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
        """Read and evict a context; no tokens at all make an empty one, and one too short for the budget is kept whole.

        Args:
            ids: Token ids of the context.
            n_sequence: Tokens of the whole sequence that it begins, its answer included.

        Raises:
            UserError: as `check`.
            PluginError: the scorer or the allocator failed.
        """
        if not ids:
            context = empty_context(self.loaded, n_sequence)
            return Reading(evict(context, keep_everything(context), n_sequence), 0)
        method, events = self.method, list[Event]()
        if self.keeps_whole(len(ids)):
            method, events = method.without_eviction, [{"event": KEPT_WHOLE, "n_tokens": len(ids)}]
        with only_method(self.method):
            evicted = evict_alone(self.loaded, ids, method, self.seed, n_sequence)
        return Reading(evicted.cache, len(ids), (*events, *evicted.selection.events))
