"""A grid whose options are checked, and how it is carried out: model after model."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import UserError
from ..reports.progress import Progress
from .axes import AXES, Axes, parse_axes, parse_combinations
from .batching import batching_of, check_batching, check_drafting
from .cost import check_cost
from .defaults import LENGTH
from .finished import FinishedRun
from .grid import Grid
from .grid_types import checked_types
from .in_turn import for_each_model
from .matrix import Exclusion, Matrix
from .model import Model, use_model
from .own import note_own, own_documents, samples_of, with_full
from .several import values_of
from .values import at_least_one, one_of, samples_limit

if TYPE_CHECKING:
    from sqlalchemy import URL

    from ...db.store import Store
    from ...tasks.catalog import TaskInfo
    from ...tasks.own.data import OwnData
    from ..run.driver import Execution
    from ..run.executors.choice import Workers
    from ..run.plan import Plan
    from ..run.shard import Shard
    from ..run.spec import RunSpec


@dataclass(frozen=True)
class CheckedGrid:
    """A grid whose options are valid, as far as can be checked without loading a model."""

    grid: Grid
    matrix: Matrix
    shard: "Shard"
    workers: "Workers"
    url: "URL"
    own: "OwnData | None" = None

    def carry_out(self, command: Sequence[str], progress: Progress) -> FinishedRun:
        """Answer what is missing and store it. Each model is loaded in turn, and released before the next.

        What is wrong with the first model ends the run, before anything is stored; another model that cannot be run
        is a failure, and the others go on.

        Args:
            command: The command to record for the run.
            progress: Shows the progress.

        Raises:
            UserError: the first model, a task or a budget cannot be served; nothing was stored.
            KeyboardInterrupt: the user stopped it; every answer so far is stored.
            StoreError: the database failed.
            WorkerError: no worker is left; every answer so far is stored.
        """
        progress.report("loading torch and transformers", 0, 1)
        from ...db.comparison import result_rows
        from ...db.store import Store

        specs = self.specs(progress)
        finished, cells = FinishedRun(), list[str]()
        with ExitStack() as undo:
            opened = cache(lambda: undo.enter_context(Store.open(self.url, create=True)))
            for_each_model(
                specs,
                finished,
                lambda model, spec: cells.extend(self._run(model, spec, opened, command, progress, finished)),
            )
            finished.rows = result_rows(opened(), cells)
        return finished

    def _run(
        self,
        model: str | Model,
        spec: "RunSpec",
        opened: "Callable[[], Store]",
        command: Sequence[str],
        progress: Progress,
        finished: FinishedRun,
    ) -> list[str]:
        """Answer on one model, and add to what is finished; the ids of its cells. Raises as `carry_out`."""
        from ..run.executors.choice import open_executor
        from ..run.plan import make_plan
        from ..run.session import carry_out, failures

        grid = self.grid
        loaded = use_model(model, grid.device, grid.dtype, grid.backend, grid.thinking, progress)
        check_drafting(grid, loaded)
        plan = make_plan(spec, loaded, progress.report)
        self.note_contexts(plan, progress)
        keeps_model = isinstance(model, Model)
        with open_executor(self.workers, plan, grid.device, batching_of(grid), keeps_model=keeps_model) as executor:
            outcome = carry_out(plan, opened(), command, self.execution(), executor, progress.report)
        finished.failures += failures(plan, outcome)
        finished.failed_cells |= outcome.failures.keys()
        finished.n_new += outcome.n_new
        finished.n_steps += outcome.n_steps
        finished.n_saved += outcome.n_saved
        finished.traces += outcome.traces.values()
        finished.stopped = outcome.stopped
        return [cell.id for cell in plan.cells]

    def note_contexts(self, plan: "Plan", progress: Progress) -> None:
        """Say how many tokens of the lengths that were named are context, and what of own documents is asked."""
        from ..run.contexts import context_notes

        if self.own is not None:
            note_own(self.own, self.grid, progress)
        for note in context_notes(plan) if self.grid.length is not None else ():
            progress.note(note)

    def execution(self) -> "Execution":
        """How the grid is carried out on each model."""
        from ..run.driver import Execution

        grid = self.grid
        return Execution(
            batching_of(grid), grid.redo, grid.keep_prompts, grid.evidence_layers, grid.fail_fast, self.shard
        )

    def specs(self, progress: Progress) -> "dict[str | Model, RunSpec]":
        """What is to be run on each model, in order.

        Raises:
            UserError: a plugin or an option that cannot be served, or no combination is left.
        """
        from ..methods.incremental import check_schedules
        from ..methods.oracles import check_oracles
        from ..run.spec import without_length

        specs = {model: spec for model in self.matrix.models if (spec := self._spec(model)).tasks}
        if not specs:
            raise UserError("--exclude leaves no combination; exclude fewer.")
        for spec in specs.values():
            check_schedules(spec.methods)
            check_oracles(spec.methods, measured=self.grid.cost)
        grid = self.grid
        for text in self.matrix.without_effect(grid.sink, grid.window, grid.baselines):
            progress.message(f"--exclude {text} matches no combination of the grid")
        tasks = [(task.info, task.length) for spec in specs.values() for task in spec.tasks]
        if grid.length is not None and (note := without_length(tasks)):
            progress.message(note)
        return specs

    def _spec(self, model: str | Model) -> "RunSpec":
        from ..run.spec import RunSpec
        from ..samples.source import SampleSource

        grid, own = self.grid, self.own
        return RunSpec(
            tasks=with_full(self.matrix.of_model(model, grid.sink, grid.window, grid.baselines)),
            protocol="aware" if grid.protocol == "aware" else "agnostic",
            source=SampleSource(samples_of(grid, own), _folder(grid.data_dir), _folder(grid.samples), own),
            truncate=grid.truncate,
            max_length=grid.max_length,
        )


def check_grid(grid: Grid) -> CheckedGrid:
    """Validate the options without importing torch, cheap checks first.

    Modules are imported where they are first needed, so that a wrong number is reported before plugins and tasks are
    read.

    Raises:
        UserError: an option that cannot be served.
    """
    grid = checked_types(grid)
    if grid.limit is not None:
        samples_limit(grid.limit)
    check_cost(grid)
    check_batching(grid)
    one_of("--protocol", grid.protocol, ("agnostic", "aware"))
    if grid.samples is not None and grid.data_dir is not None:
        raise UserError("give either --samples or --data-dir: exported samples hold their data.")
    if grid.max_length is not None:
        at_least_one("--max-length", grid.max_length)
    from ..run.executors.choice import Workers
    from ..run.shard import Shard

    shard, workers = Shard.parse(grid.shard), Workers(grid.executor, grid.workers, grid.address).checked(grid.device)
    own = own_documents(grid)
    matrix = _matrix(grid, None if own is None else own.info)
    _check_places(grid, matrix)
    return CheckedGrid(grid, matrix, shard, workers, _database(grid), own)


def _matrix(grid: Grid, own: "TaskInfo | None") -> Matrix:
    """The combinations of a grid, of registered plugins and tasks, with budgets that hold what the scorers protect."""
    from ..methods.budget import parse_budgets

    for name in ("model", "allocator", "scorer", "schedule", "tasks", "seed"):
        if getattr(grid, name) is None:
            raise UserError(f"{name} takes a text, not None." if name != "seed" else "seed takes a number, not None.")
    default = {"length": LENGTH} if grid.length is None else {}
    axes = parse_axes({name: getattr(grid, name) for name in AXES} | default)
    if own is not None:
        axes = replace(axes, tasks=(own.name,))
    if not axes.budgets:
        axes = replace(axes, budgets=tuple(parse_budgets([], [])))
    included = parse_combinations("include", grid.include)
    if own is not None and any(more.tasks for more in included):
        raise UserError("--include names tasks, and --data is the task of this run; leave tasks out of it.")
    excluded = zip(values_of(grid.exclude), parse_combinations("exclude", grid.exclude), strict=True)
    for block in (axes, *(more.over(axes) for more in included)):
        _check_budgets(grid, block)
    exclusions = tuple(Exclusion(one, _shown(entry)) for entry, one in excluded)
    return Matrix(axes, included, exclusions, own, grid.floors, grid.oracles)


def _check_budgets(grid: Grid, axes: Axes) -> None:
    from ..methods.protection import check_budgets

    if grid.baselines or any(spec.partition(":")[0] != "full" for spec in axes.allocators):
        check_budgets(axes.budgets, axes.scorers, grid.sink, grid.window)


def _check_places(grid: Grid, matrix: Matrix) -> None:
    """Refuse a model name, database or folder that cannot be used."""
    from ..files.access import user_path
    from ..models.find import check_model_name

    for model in matrix.models:
        if isinstance(model, str):
            check_model_name(model)
    from ...db.named import check_usable, named_file

    if (file := named_file(_text(grid.db))) is not None:
        check_usable(file)
    for option, folder in (("--samples", grid.samples), ("--data-dir", grid.data_dir)):
        if folder is not None and not user_path(Path(folder), option).is_dir():
            raise UserError(f"{option} {folder} is not a folder.")


def _shown(entry: Any) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in entry.items()) + "}"


def _database(grid: Grid) -> "URL":
    from ...db.urls import check_writable, resolve_url

    url = resolve_url(_text(grid.db))
    check_writable(url)
    return url


def _text(place: str | Path | None) -> str | None:
    return None if place is None else str(place)


def _folder(place: str | Path | None) -> Path | None:
    return None if place is None else Path(place).expanduser()
