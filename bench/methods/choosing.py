"""From a context to what a method keeps of it: the one way for runs, inspection and lm-eval's client."""

from collections.abc import Sequence
from dataclasses import dataclass

from ... import UserError
from ...kernels.select import Kept
from ..calibration.calibrate import Report
from ..engine.clock import now
from ..engine.evict import choose, keep_everything
from ..engine.prefill import Context, prefill
from ..engine.reads import check_reads
from ..errors import PluginError, WriteError, reason_of, without_frames
from ..models.load import LoadedModel
from .allocation import Allocation, allocate
from .events import Event
from .method import Method
from .profiles import MethodProfiles


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


def with_own_profiles(method: Method, loaded: LoadedModel, report: Report) -> Method:
    """The method with the profiles of its plugins, found or made. Raises as `MethodProfiles.obtain`."""
    return method.with_profiles(MethodProfiles(loaded, report).obtain(method))


Barred = dict[str, Exception]
"""Score tables and methods whose plugin changed what it was shown, with what it did. It is not called again: each such
call costs the others another pass."""


def read_context(
    loaded: LoadedModel,
    ids: Sequence[int],
    methods: Sequence[Method],
    seed: int,
    n_sequence: int,
    barred: Barred | None = None,
) -> Context:
    """The context, prefilled once, with the score tables that the methods need, each made once.

    Args:
        loaded: The model.
        ids: Token ids of the context.
        methods: Whose tables are made.
        seed: The run's seed.
        n_sequence: Tokens of the whole sequence that the context begins, its answer included.
        barred: Plugins that are not called again; those that turn out to belong there are added.
    """
    barred = {} if barred is None else barred
    by_table = {method.table: method for method in methods if method.scorer is not None}
    scorers = {
        name: method.scorer.instance
        for name, method in by_table.items()
        if method.scorer is not None and name not in barred
    }
    n_kept = {name: method.budget.per_head(len(ids)) for name, method in by_table.items()}
    context = prefill(loaded, ids, scorers, n_kept=n_kept, seed=seed, n_sequence=n_sequence)
    barred |= {name: error for name, error in context.failures.items() if isinstance(error, WriteError)}
    context.failures = {**context.failures, **{name: barred[name] for name in by_table if name in barred}}
    return context


def choose_kept(
    loaded: LoadedModel,
    method: Method,
    context: Context,
    seed: int,
    barred: Barred | None = None,
) -> Choice:
    """What the method keeps, behind the one validator; the full cache asks no scorer. Raises what a plugin raises."""
    if method.scorer is None:
        return Choice(keep_everything(context), (), 0.0)
    barred = {} if barred is None else barred
    if method.label in barred:
        raise barred[method.label]
    scores = context.table(method.table)
    try:
        allocation = _allocated(loaded, method, context, seed)
    except WriteError as error:
        barred[method.label] = without_frames(error)
        raise
    started = now(loaded.device)
    kept = choose(allocation.counts, scores, method.protection.mask(context.n_tokens))
    choose_s = context.score_s[method.table] + allocation.allocate_s + now(loaded.device) - started
    return Choice(kept, allocation.events, choose_s)


def choose_alone(loaded: LoadedModel, method: Method, context: Context, seed: int) -> Choice:
    """What the only method of a command keeps: where its plugins fail, nothing is left to go on with.

    Raises:
        UserError: it cannot serve the budget.
        PluginError: its scorer or its allocator failed.
    """
    try:
        return choose_kept(loaded, method, context, seed)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # a plugin may raise anything
        raise PluginError(f"{method.label} failed: {reason_of(without_frames(error))}") from error


def _allocated(loaded: LoadedModel, method: Method, context: Context, seed: int) -> Allocation:
    """The allocation. Whatever an allocator changed besides is read again, also where it fails of something else.

    Raises:
        WriteError: it changed something.
    """
    weights = loaded.weights
    try:
        allocation = allocate(method, loaded.shape, context.n_tokens, context.table(method.table), seed)
    finally:
        changed = [what for what in (weights.restored(), context.restored()) if what is not None]
    if changed:
        raise WriteError(f"it changed the {changed[0]}, which is not an allocator's to change")
    return allocation
