"""From a context to what a method keeps of it: the one way for runs, inspection and lm-eval's client."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...kernels.select import Kept
from ...scorers.base import Profile
from ..calibration.calibrate import Report
from ..engine.clock import now
from ..engine.evict import choose, keep_everything
from ..engine.prefill import Context, prefill
from ..engine.reads import check_reads
from ..models.load import LoadedModel
from ..profiles.obtain import obtain_profile
from .allocation import allocate
from .events import Event
from .request import Method


@dataclass(frozen=True)
class Choice:
    """What a method keeps of a context.

    Attributes:
        kept: Per layer.
        events: What a reader of the answer must know.
        choose_s: Wall seconds of scoring, allocating and choosing.
    """

    kept: Sequence[Kept]
    events: Sequence[Event]
    choose_s: float


def check_scorers(loaded: LoadedModel, methods: Sequence[Method]) -> None:
    """Refuse methods whose scorer reads what the model does not have. Raises as `check_reads`."""
    check_reads(loaded, {method.scorer.label: method.scorer.instance.reads for method in methods if method.scorer})


def obtain_for(method: Method, loaded: LoadedModel, report: Report) -> Profile | None:
    """The profile that the method is handed, found or made; None where it takes none. Raises as `obtain_profile`."""
    owner = method.allocator.profile_owner
    if owner is None or method.scorer is None:
        return None
    return obtain_profile(owner, method.scorer, method.protection, loaded, report)


def read_context(
    loaded: LoadedModel, ids: Sequence[int], methods: Sequence[Method], seed: int, n_sequence: int
) -> Context:
    """The context, prefilled once, with the score tables that the methods need, each made once.

    Args:
        loaded: The model.
        ids: Token ids of the context.
        methods: Whose tables are made.
        seed: The run's seed.
        n_sequence: Tokens of the whole sequence that the context begins, its answer included.
    """
    by_table = {method.table: method for method in methods if method.scorer is not None}
    scorers = {name: method.scorer.instance for name, method in by_table.items() if method.scorer is not None}
    n_kept = {name: method.budget.per_head(len(ids)) for name, method in by_table.items()}
    return prefill(loaded, ids, scorers, n_kept=n_kept, seed=seed, n_sequence=n_sequence)


def choose_kept(loaded: LoadedModel, method: Method, profile: Profile | None, context: Context, seed: int) -> Choice:
    """What the method keeps, behind the one validator; the full cache asks no scorer. Raises what a plugin raises."""
    if method.scorer is None:
        return Choice(keep_everything(context), (), 0.0)
    started = now(loaded.device)
    scores = context.table(method.table)
    made = allocate(method, loaded.shape, context.n_tokens, scores, profile, seed)
    kept = choose(made.counts, scores, method.protection.mask(context.n_tokens))
    return Choice(kept, made.events, context.score_s[method.table] + now(loaded.device) - started)
