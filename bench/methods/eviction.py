"""Evicts contexts by methods, for runs, inspection and lm-eval's client.

One method alone evicts while the context is read (`evict_alone`); so does each with a block schedule. Others share a
context that is read once and held (`read_context`), from which each selects (`select_kept`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from torch import Tensor

from ... import UserError
from ...kernels.backend import Backend
from ...kernels.ragged_store import compact
from ...kernels.select import stack
from ...kernels.store import StoreFactory
from ...scorers.base import Reads, Scorer
from ..engine.cache import StoreCache
from ..engine.clock import now
from ..engine.context import Context, FullCache
from ..engine.evicting import Evicting
from ..engine.future import Future, FutureScorer
from ..engine.gauge import Gauge
from ..engine.importance import SeenLayers
from ..engine.layouts import ragged
from ..engine.prefill import Prefill, hold, read_into
from ..engine.reads import check_reads
from ..engine.scoring import Tainted
from ..errors import PluginError, WriteError, reason_of, without_frames
from ..models.load import LoadedModel
from ..models.weights import ModelChanged
from .blockwise import evict_in_blocks
from .evicted import Barred, Evicted, EvictionSeconds, refuse_barred
from .incremental import check_schedules
from .method import Method
from .oracles import needed_reads, refuse_oracles
from .policy import Policy
from .schedule import DEFAULT_SCHEDULE
from .selection import Selection


def check_methods(loaded: LoadedModel, methods: Sequence[Method]) -> None:
    """Refuse methods that cannot evict by their schedule, or whose scorer reads what the model does not have.

    Raises:
        UserError: as `check_schedules` and `check_reads`, or the model cannot read a context in blocks.
    """
    check_schedules(methods)
    for method in methods:
        if loaded.one_by_one and method.schedule.block is not None:
            raise UserError(
                f"{loaded.name} cannot read a context in blocks: its recurrent layers lose their state between them; "
                f"use --schedule {DEFAULT_SCHEDULE} in place of {method.schedule}."
            )
    reads: dict[str, Reads] = {}
    for method in methods:
        if method.scorer is not None:
            label = method.scorer.label
            reads[label] = reads.get(label, Reads()) | needed_reads(method)
    check_reads(loaded, reads)
    measuring = (method.allocator for method in methods if method.measures_table is not None)
    check_reads(loaded, {allocator.label: allocator.instance.reads for allocator in measuring}, "allocator")


def evict_alone(
    loaded: LoadedModel,
    ids: Sequence[int],
    method: Method,
    seed: int,
    n_sequence: int,
    barred: Barred | None = None,
    n_rows: int = 1,
) -> Evicted:
    """Read a context and evict each layer as soon as the method decides it; its full keys and values are released.
    Under a block schedule each layer is evicted after every block.

    Args:
        loaded: The model.
        ids: Token ids of the context.
        method: With its plugins bound to their profiles.
        seed: The run's.
        n_sequence: Tokens of the whole sequence, from the context to the answer: the stores have room for all of them.
        barred: Plugins that are not called; a plugin that changes its inputs is added.
        n_rows: Rows of the cache, each with a copy of its own of what is kept.

    Raises:
        ModelChanged: a plugin changed the model's weights, and they cannot be read again.
        UserError: the method is an oracle, and a context alone has no future.
        Exception: what a plugin raised.
    """
    barred = {} if barred is None else barred
    refuse_oracles([method])
    if method.schedule.block is not None:
        return evict_in_blocks(loaded, ids, method, method.schedule.block, seed, n_sequence, barred, n_rows)
    refuse_barred(method, barred)
    if method.scorer is not None and method.scorer.instance.reads.replay:
        return evict_held(loaded, ids, method, seed, n_sequence, barred, n_rows)
    policy = Policy(loaded, method, len(ids), seed)
    table = None if method.scorer is None else method.table
    request = Prefill(loaded, tuple(ids), n_sequence, seed, _scorers(method), {method.table: policy.budget.per_head})
    store, room = _copies(n_rows, loaded.backend), n_sequence - len(ids)
    sink = Evicting(policy.decide, table, store, room, method.measures_table)
    try:
        record = read_into(sink, request)
    except (Tainted, WriteError) as error:
        barred[method.label] = without_frames(error.error if isinstance(error, Tainted) else error)
        raise barred[method.label] from None
    for failure in record.failures.values():
        raise failure
    order = range(loaded.shape.n_layers)
    steps = EvictionSeconds(sum(record.score_s.values()), policy.allocate_s, policy.select_s, sink.compact_s)
    stores = [sink.stores[layer] for layer in order]
    return Evicted(
        cache=StoreCache(stores, n_rows, len(ids), n_sequence, record.beside, room),
        selection=Selection([sink.kept[layer] for layer in order], tuple(policy.events), steps.choosing_s),
        full=FullCache(len(ids), sink.kv_bytes + record.beside.nbytes, record.prefill_s),
        steps=steps,
        held=sink.held,
    )


def evict_held(
    loaded: LoadedModel,
    ids: Sequence[int],
    method: Method,
    seed: int,
    n_sequence: int,
    barred: Barred,
    n_rows: int,
) -> Evicted:
    """Read a context, hold all of it until the method has decided, and evict then. The arguments and what is raised are
    those of `evict_alone`."""
    context = read_context(loaded, ids, [method], seed, n_sequence, barred)
    selection = select_kept(loaded, method, context, seed, barred)
    score_s, allocate_s = sum(context.score_s.get(name, 0.0) for name in method.tables), selection.allocate_s
    slots = [keys.shape[1] * keys.shape[2] for keys in context.keys]
    began, rows = now(*loaded.devices), [selection.kept] * n_rows
    cache = ragged(loaded.backend).build(context.for_last_use(), rows, n_sequence - len(ids))
    compact_s = now(*loaded.devices) - began
    return Evicted(
        cache=cache,
        selection=selection,
        full=context.full,
        steps=EvictionSeconds(score_s, allocate_s, selection.seconds - score_s - allocate_s, compact_s),
        held=[sum(slots)] * len(slots),
    )


def _scorers(method: Method) -> dict[str, Scorer]:
    """What makes the tables of a method, by their names."""
    scorers: dict[str, Scorer] = {} if method.scorer is None else {method.table: method.scorer.instance}
    if method.measures_table is not None:
        scorers[method.measures_table] = Gauge(method.allocator.instance)
    return scorers


def _copies(n_rows: int, backend: Backend) -> StoreFactory:
    """Makes stores of several rows that keep the same."""
    return lambda keys, values, kept, room: compact(keys, values, stack([kept] * n_rows), room, backend=backend)


def read_context(
    loaded: LoadedModel,
    ids: Sequence[int],
    methods: Sequence[Method],
    seed: int,
    n_sequence: int,
    barred: Barred | None = None,
    seen: SeenLayers | None = None,
) -> Context:
    """The context, prefilled once and held, with the score tables that the methods need, each made once.

    Scorers that read the future have none: there is one for each question. The layers are recorded in `seen`. The other
    arguments are those of `evict_alone`.
    """
    barred = {} if barred is None else barred
    by_table = {
        name: scorer for method in methods for name, scorer in _scorers(method).items() if not scorer.reads.future
    }
    scorers = {name: scorer for name, scorer in by_table.items() if name not in barred}
    n_kept = {method.table: method.budget.per_head(len(ids)) for method in methods if method.scorer is not None}
    observers = [] if seen is None else [seen.see]
    context = hold(Prefill(loaded, tuple(ids), n_sequence, seed, scorers, n_kept, observers))
    barred |= {name: error for name, error in context.failures.items() if isinstance(error, WriteError)}
    context.failures = {**context.failures, **{name: barred[name] for name in by_table if name in barred}}
    return context


def select_kept(
    loaded: LoadedModel,
    method: Method,
    context: Context,
    seed: int,
    barred: Barred | None = None,
    future: Future | None = None,
) -> Selection:
    """What the method keeps of a context that is held, an oracle by its `future`. Raises what a plugin raises.

    Whatever the allocator changed is restored, even if it fails for another reason.
    """
    barred = {} if barred is None else barred
    refuse_barred(method, barred)
    table, ranks, seconds = None, None, 0.0
    if future is not None and method.scorer is not None and method.scorer.instance.reads.future:
        table, ranks = _future_table(loaded, method, method.scorer.instance, context, future, barred)
    elif method.scorer is not None:
        table, ranking = context.table(method.table), context.ranking(method.table, method.protection)
        ranks, seconds = ranking.ranks, ranking.seconds + context.score_s.get(method.table, 0.0)
    measures = None
    if method.measures_table is not None:
        measures = context.table(method.measures_table)
        seconds += context.score_s.get(method.measures_table, 0.0)
    policy = Policy(loaded, method, context.n_tokens, seed, None if future is None else future.importance)
    try:
        with nullcontext() if table is None else _unchanged(loaded, context):
            kept = policy.decide_all(table, ranks, measures)
    except WriteError as error:
        barred[method.label] = without_frames(error)
        raise
    return Selection(kept, tuple(policy.events), policy.seconds + seconds, policy.allocate_s)


def _future_table(
    loaded: LoadedModel, method: Method, scorer: Scorer, context: Context, future: Future, barred: Barred
) -> tuple[Tensor, Tensor]:
    """(table, ranks) of a scorer that reads the future; the table is a copy, which an allocator may spoil."""
    n_kept = method.budget.per_head(context.n_tokens)
    of = FutureScorer(method.table, scorer, n_kept)
    try:
        with _unchanged(loaded, context):
            return future.table(of).clone(), future.ranking(of, method.protection).ranks
    except WriteError as error:
        barred[method.table] = without_frames(error)
        raise


@contextmanager
def only_method(method: Method) -> Iterator[None]:
    """Turn failures of plugins within the block into one error, for a command with a single method.

    Raises:
        UserError: it cannot serve the budget.
        PluginError: its scorer or its allocator failed.
    """
    try:
        yield
    except (UserError, ModelChanged):
        raise
    except (Exception, SystemExit) as error:  # a plugin may raise anything
        raise PluginError(f"{method.label} failed: {reason_of(without_frames(error))}") from error


@contextmanager
def _unchanged(loaded: LoadedModel, context: Context) -> Iterator[None]:
    """Check that the block changes neither the model nor the context, and restore both.

    Raises:
        WriteError: it changed something.
    """
    try:
        yield
    finally:
        changed = [name for name in (loaded.weights.restored(), context.restored()) if name is not None]
    if changed:
        raise WriteError(f"it changed the {changed[0]}, which is not an allocator's to change")
