"""What a run would do, and what it would take: its cells and samples, what is done of them, time and memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ... import UserError
from ...db.paces import SampleSeconds, recent_samples
from ...db.store import Store
from ..methods.estimate import CacheShape, estimate
from ..models.load import DTYPES, LoadedModel
from ..samples.sample_set import SampleSet
from .batching import Batching
from .driver import Execution, missing, requested
from .meter import attention_tokens, load_of
from .plan import Plan, RunCell
from .remaining import Load, Observed, Pace, Work
from .rows import environment_row
from .unit import Unit, UnitConfiguration
from .worker import Worker

PROBE_TOKENS = 4
"""Tokens of the answer that is measured where no stored one is."""


@dataclass(frozen=True)
class TaskForecast:
    """What is to be done on a task at a length under a seed.

    Attributes:
        n_context: Tokens of its first sample's context.
        n_oracles: Cells that read the future, one more pass over each question.
        n_done: Answers that are stored.
    """

    task: str
    length: int | None
    seed: int
    n_context: int
    n_cells: int
    n_samples: int
    n_done: int
    n_oracles: int = 0

    @property
    def n_answers(self) -> int:
        """Answers in all, those that are stored included."""
        return self.n_cells * self.n_samples


@dataclass(frozen=True)
class Forecast:
    """What a run on one model would do.

    Attributes:
        seconds: Of all answers that are missing, one sample after the other.
        n_stored: Samples stored before that the seconds are learned from; 0 where one was measured now. They are then
            an upper bound: each answer uses its whole room, and cells do not decode together.
        weight_bytes: Of the model.
        kv_bytes: Of the longest context's cache, held while `batch` configurations decode from what they keep of it.
        to_make: Profiles that are made first, for which no time is known.
    """

    model: str
    revision: str
    dtype: str
    device: str
    tasks: tuple[TaskForecast, ...]
    seconds: float
    n_stored: int
    weight_bytes: int
    kv_bytes: int
    to_make: tuple[str, ...]

    @property
    def n_answers(self) -> int:
        """Answers in all, those that are stored included."""
        return sum(task.n_answers for task in self.tasks)

    @property
    def n_done(self) -> int:
        """Answers that are stored."""
        return sum(task.n_done for task in self.tasks)


def forecast(plan: Plan, store: Store | None, execution: Execution) -> Forecast:
    """What a run of the plan would do; nothing is stored.

    Args:
        plan: Made without making profiles.
        store: The results, where there are any.
        execution: How it would be carried out.
    """
    loaded = plan.loaded
    every, batch = requested(plan, execution.shard), execution.batching.most
    todo = every if store is None else missing(plan, store, execution.shard, redo=execution.redo)
    tasks, works = [], []
    for samples in plan.sample_sets:
        cells = plan.cells_of(samples)
        lacking = [todo[cell.id] for cell in cells]
        load, n_left = load_of(samples), sum(map(len, lacking))
        n_samples = len(set().union(*(every[cell.id] for cell in cells)))
        n_done = len(lacking) * n_samples - n_left
        length, seed = samples.task.length, samples.task.seed
        n_oracles = sum(cell.method.method.is_oracle for cell in cells)
        numbers = (load.n_context, len(lacking), n_samples, n_done, n_oracles)
        tasks.append(TaskForecast(load.place[0], length, seed, *numbers))
        works.append(Work(load, _n_prefills(samples, cells, lacking), n_left))
    seconds, n_stored = _seconds(plan, store, [work for work in works if work.n_cells])
    return Forecast(
        model=loaded.title,
        revision=loaded.revision,
        dtype=loaded.dtype,
        device=loaded.place,
        tasks=tuple(tasks),
        seconds=seconds,
        n_stored=n_stored,
        weight_bytes=sum(weight.numel() * weight.element_size() for weight in loaded.model.parameters()),
        kv_bytes=max(_kv_bytes(loaded, load_of(each), plan.cells_of(each), batch) for each in plan.sample_sets),
        to_make=plan.to_make,
    )


def _n_prefills(samples: SampleSet, cells: Sequence[RunCell], lacking: Sequence[set[int]]) -> int:
    """Contexts to be read: a sample's once for all cells, and once more for each that evicts block by block."""
    shared = [ordinals for cell, ordinals in zip(cells, lacking, strict=True) if _block(cell) is None]
    own = [ordinals for cell, ordinals in zip(cells, lacking, strict=True) if _block(cell) is not None]
    return samples.n_prefills(set().union(*shared)) + sum(map(samples.n_prefills, own))


def _block(cell: RunCell) -> int | None:
    return cell.method.method.schedule.block


def _kv_bytes(loaded: LoadedModel, load: Load, cells: Sequence[RunCell], batch: int | None) -> int:
    """Of one sample: the whole context's cache and what the largest configurations of one batch keep of it, or what one
    that evicts block by block keeps and a block, whichever is more."""
    sizes, n_fed = CacheShape(loaded.shape, DTYPES[loaded.dtype].itemsize), load.n_question + load.max_new_tokens
    windows = sizes.window_bytes(load.n_context)  # held once, by all configurations
    per_fed = loaded.shape.numbers_per_fed * sizes.itemsize

    def kept(cell: RunCell) -> int:
        return estimate(sizes, load.n_context, cell.method.method.budget, None).kv_bytes_kept

    shared = sorted(kept(cell) - windows for cell in cells if _block(cell) is None)
    together = shared if batch is None else shared[-batch:]
    most = sizes.full_bytes(load.n_context) + sum(together) + len(together) * n_fed * per_fed if together else 0
    own = [
        kept(cell) + max(min(block, load.n_context), n_fed) * per_fed
        for cell in cells
        if (block := _block(cell)) is not None
    ]
    return max(most, *own, 0)


def _seconds(plan: Plan, store: Store | None, works: Sequence[Work]) -> tuple[float, int]:
    """What the work takes, and the number of stored samples that say so."""
    pace = Pace(attention_tokens(plan.loaded))
    if not works:
        return 0.0, 0
    stored = [] if store is None else _stored(plan.loaded, store)
    if stored:
        rooms = {work.load.place: work.load.max_new_tokens for work in works}
        pace.observed += [_observed(one, rooms) for one in stored]
    else:
        pace.observed.append(_measured(plan, max(work.load.max_new_tokens for work in works)))
    return pace.seconds(works) or 0.0, len(stored)


def _stored(loaded: LoadedModel, store: Store) -> list[SampleSeconds]:
    here = environment_row(loaded)
    return recent_samples(store, loaded.revision, loaded.dtype, loaded.place, str(here.machine))


def _observed(one: SampleSeconds, rooms: dict[tuple[str, int | None], int]) -> Observed:
    place = (one.task, one.length)
    load = Load(place, one.n_context, one.n_question, rooms.get(place, one.n_generated))
    return Observed(load, one.n_cells, one.prefill_s, one.seconds - one.prefill_s, one.n_generated)


def _measured(plan: Plan, max_new_tokens: int) -> Observed:
    """The shortest first sample over its full cache, as if its answer had that many tokens.

    Raises:
        UserError: the model cannot answer it.
    """
    samples = min(plan.sample_sets, key=lambda samples: len(samples.first.context))
    sample, load = samples.first, load_of(samples)
    full = UnitConfiguration("", plan.methods[0].method.without_eviction)
    unit = Unit(
        sample_id=sample.id,
        context=sample.context,
        question=sample.question,
        n_sequence=sample.n_sequence,
        stop=replace(sample.stop, max_new_tokens=min(PROBE_TOKENS, load.max_new_tokens), eos=frozenset()),
        seed=samples.task.seed,
        configurations=(full,),
    )
    (answer,) = Worker(plan.loaded, {}).answers(unit, Batching(), lambda _: None)
    seconds = answer.seconds
    if answer.error is not None or seconds.prefill_s is None or seconds.ttft_s is None:
        raise UserError(f"no time can be estimated: {plan.loaded.name} failed on {load.place[0]}: {answer.error}.")
    first_s = seconds.ttft_s - seconds.prefill_s
    later_s = (seconds.tpot_s or 0.0) * (max_new_tokens - 1)
    return Observed(load, 1, seconds.prefill_s, first_s + later_s, max_new_tokens)
