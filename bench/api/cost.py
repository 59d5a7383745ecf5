"""A grid whose cells are measured instead of answered."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from ... import UserError
from ..reports.progress import Progress
from .defaults import NEW_TOKENS, REPEATS
from .grid import Grid
from .model import Model, use_model
from .values import at_least_one

if TYPE_CHECKING:
    from ...db.store import Store
    from ..cost.request import CostSettings
    from ..cost.session import CostRun
    from ..run.spec import RunSpec
    from .checked import CheckedGrid

MOST = 100_000
"""Repeats, and tokens of each: more than anyone waits for."""

_OF_ANSWERS = {
    "batch": "configurations are measured one at a time",
    "drafts": "every token is decoded by itself",
    "fidelity": "its gate compares the logits",
    "keep_prompts": "no answer is stored",
    "oracles": "a cache that reads its own future has no cost",
    "evidence_layers": "no answer is stored",
    "shard": "one sample of each task is measured",
    "executor": "every measurement has a process of its own",
}
"""Options that say how answers are given, and why a measurement has none of it."""


@dataclass
class MeasuredRun:
    """What was measured on all models.

    Attributes:
        rows: A row per measurement that was asked for, with the columns of `results --cost --json`.
        failures: A line for each measurement that failed, and for each model that could not be run.
        n_new: Measurements done by this run.
        traces: The tracebacks of plugins that raised.
        stopped: The failure that ended the run; None unless `fail_fast`.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    n_new: int = 0
    traces: list[str] = field(default_factory=list)
    stopped: str | None = None


def check_cost(grid: Grid) -> None:
    """Refuse options that do not go together with `cost`, or without it.

    Raises:
        UserError: they do not.
    """
    counts = {"--repeats": (grid.repeats, 1), "--new-tokens": (grid.new_tokens, 2)}
    for option, (number, least) in counts.items():
        if number is None:
            continue
        if not grid.cost:
            raise UserError(f"{option} is for --cost; add it, or leave {option} out.")
        at_least_one(option, number)
        if not least <= number <= MOST:
            raise UserError(f"{option} takes a number from {least} to {MOST}, not {number}.")
    if not grid.cost:
        return
    for name, reason in _OF_ANSWERS.items():
        if getattr(grid, name) != getattr(Grid(), name):
            option = "--no-drafts" if name == "drafts" else "--" + name.replace("_", "-")
            raise UserError(f"{option} is for answers: with --cost {reason}; leave one of the two out.")
    if grid.device == "auto":
        raise UserError("--cost measures on one device; name it with --device, such as cuda:0.")


def measure_grid(checked: "CheckedGrid", command: Sequence[str], progress: Progress) -> MeasuredRun:
    """Measure what is missing and store it. Each model is loaded in turn, and released before the next.

    Raises:
        UserError: the first model, a task or a budget cannot be served; nothing was stored.
        KeyboardInterrupt: the user stopped it; every measurement so far is stored.
        StoreError: the database failed.
    """
    progress.report("loading torch and transformers", 0, 1)
    from ...db.cost_rows import read_costs
    from ...db.store import Store
    from .in_turn import for_each_model

    specs = checked.specs(progress)
    measured, ids = MeasuredRun(), list[str]()
    with ExitStack() as undo:
        opened = cache(lambda: undo.enter_context(Store.open(checked.url, create=True)))
        for_each_model(
            specs,
            measured,
            lambda model, spec: ids.extend(_measure(checked, model, spec, opened, command, progress, measured)),
        )
        asked = set(ids)
        measured.rows = [row for row in read_costs(opened()) if row["cost"] in asked]
    return measured


def _measure(
    checked: "CheckedGrid",
    model: str | Model,
    spec: "RunSpec",
    opened: Any,
    command: Sequence[str],
    progress: Progress,
    measured: MeasuredRun,
) -> list[str]:
    """Measure on one model, and add to what is measured; the ids of its measurements."""
    from ..cost.session import check_measurable, measure_plan
    from ..run.plan import make_plan

    grid = checked.grid
    loaded = use_model(model, grid.device, grid.dtype, grid.backend, grid.thinking, progress)
    plan = make_plan(spec, loaded, progress.report)
    check_measurable(plan, settings_of(grid))
    checked.note_contexts(plan, progress)
    if not isinstance(model, Model):
        loaded.release_weights()
    store: Store = opened()
    outcome = measure_plan(plan, store, command, _run(grid), progress.report)
    measured.failures += outcome.failures
    measured.n_new += outcome.n_new
    measured.traces += outcome.traces
    measured.stopped = outcome.stopped
    return outcome.ids


def _run(grid: Grid) -> "CostRun":
    from ..cost.session import CostRun

    return CostRun(settings_of(grid), redo=grid.redo, fail_fast=grid.fail_fast)


def settings_of(grid: Grid) -> "CostSettings":
    """How the cells of a checked grid are measured."""
    from ..cost.request import CostSettings

    return CostSettings(
        n_repeats=REPEATS if grid.repeats is None else grid.repeats,
        n_new_tokens=NEW_TOKENS if grid.new_tokens is None else grid.new_tokens,
        max_memory=None if grid.max_memory is None else int(grid.max_memory * 2**30),
    )
