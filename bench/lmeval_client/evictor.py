"""Reads a context once and evicts it as often as it is asked to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ... import UserError
from ...kernels.select import Kept
from ..calibration.calibrate import Report
from ..engine.cache import StoreCache
from ..engine.evict import evict, keep_everything
from ..engine.likelihood import empty_context
from ..engine.prefill import Context
from ..methods.allocation import check_budget
from ..methods.choosing import check_scorers, choose_alone, read_context, with_own_profiles
from ..methods.events import Event
from ..methods.method import Method
from ..methods.profiles import profile_hashes
from ..models.load import LoadedModel
from ..record.configuration import recorded_hashes

KEPT_WHOLE = "kept_whole"
"""The event of a context that is too short for the budget: it keeps fewer tokens than are protected, or than the
allocator can deal out."""


@dataclass(frozen=True)
class Reading:
    """A context that was read, and what its eviction keeps.

    Attributes:
        kept: Per layer.
        events: What a reader of an answer over it must know.
    """

    context: Context
    kept: Sequence[Kept]
    events: Sequence[Event] = ()

    def cache(self, room: int) -> StoreCache:
        """A ragged cache of its own, with spare room for what is fed after the eviction."""
        return evict(self.context, self.kept, room)


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
        """Prefill, score and choose; no tokens at all make an empty context, and a context too short for the budget
        is kept whole.

        Args:
            ids: Token ids of the context.
            n_sequence: Tokens of the whole sequence that it begins, its answer included.

        Raises:
            UserError: as `check`.
            PluginError: the scorer or the allocator failed.
        """
        if not ids:
            context = empty_context(self.loaded, n_sequence)
            return Reading(context, keep_everything(context))
        if self.keeps_whole(len(ids)):
            context = read_context(self.loaded, ids, [], self.seed, n_sequence)
            return Reading(context, keep_everything(context), ({"event": KEPT_WHOLE, "n_tokens": len(ids)},))
        context = read_context(self.loaded, ids, [self.method], self.seed, n_sequence)
        choice = choose_alone(self.loaded, self.method, context, self.seed)
        return Reading(context, choice.kept, choice.events)
