"""A run: every allocator with every scorer at every budget, on every task at every length."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import UserError
from ..reports.progress import Progress, ProgressOption, shown_progress
from .keywords import keywords_of
from .messages import python_messages
from .model import Model, use_model
from .several import Names, Numbers, Shares, names_of, numbers_of, read_once, shares_of
from .single import check_progress, optional_number, optional_place, optional_text, switch, text_of, whole_number
from .values import at_least_one, one_of, samples_limit

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import URL

    from ..methods.budget import Budget
    from ..run.spec import RunSpec

TASKS, LENGTH, LIMIT = "niah_multikey_1", 1024, 12
"""A default that shows the effect of eviction within minutes on two cores."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The options of a run. Where several values are given, every combination runs.

    Attributes:
        model: Alias, hub id or local folder, or a model that `load` gave.
        allocator: "NAME" or "NAME:key=value,...".
        scorer: "NAME" or "NAME:key=value,...".
        ratio: Share of the context to prune, 0 <= ratio < 1; None = 0.8, unless `keep_tokens` is given.
        keep_tokens: Tokens to keep per head, on average, instead of a ratio.
        tasks: Tasks or families.
        length: Tokens of template, context, question and room for the answer together; None = 1024.
        limit: Samples of each task.
        seed: Of samples, and of methods that draw at random.
        protocol: "agnostic": evict before the question is seen; "aware": after.
        thinking: Whether to enable thinking if the chat template has a switch for it; the thoughts are not scored.
        sink: First tokens never evicted; None = the scorer's.
        window: Last tokens never evicted; None = the scorer's.
        data_dir: Local files in the originals' formats, instead of the hub.
        samples: A folder that `tasks export` wrote, to read the samples from.
        truncate: Whether to cut the middle of LongBench contexts that are too long; otherwise they are refused.
        max_length: Tokens of prompt and answer above which a context is too long; None = the model's positions.
        db: A SQLite file or the URL of a SQLite or PostgreSQL database; None = the file under the user's data folder.
        device: Such as "cpu" or "cuda:1"; None = CUDA where there is one.
        dtype: "float32", "bfloat16" or "float16"; None = float32 on the CPU, else bfloat16.
        baselines: Whether the full cache and the uniform allocator are added.
        batch: Configurations of a sample that decode together; above 1 it is faster, but decoding is not timed.
        redo: Whether to replace stored answers.
        keep_prompts: Whether to store the prompts of the samples that are answered, for the site to show.
        progress: True = a bar (lines, where stderr is no terminal), False = nothing, or a function called with
            (stage, steps done, steps in all).
    """

    model: str | Model = "smollm2-135m"
    allocator: Names = "lukv"
    scorer: Names = "keydiff"
    ratio: Shares | None = None
    keep_tokens: Numbers | None = None
    tasks: Names = TASKS
    length: Numbers | None = None
    limit: int = LIMIT
    seed: Numbers = 0
    protocol: str = "agnostic"
    thinking: bool = False
    sink: int | None = None
    window: int | None = None
    data_dir: str | Path | None = None
    samples: str | Path | None = None
    truncate: bool = True
    max_length: int | None = None
    db: str | Path | None = None
    device: str | None = None
    dtype: str | None = None
    baselines: bool = True
    batch: int = 1
    redo: bool = False
    keep_prompts: bool = False
    progress: ProgressOption = True


@dataclass(frozen=True)
class FinishedRun:
    """The results of a run.

    Attributes:
        rows: A row per cell, with the columns of `results --json`.
        failures: A line for each cell with failed answers.
        failed_cells: Their ids.
        n_new: Answers given by this run.
        traces: The tracebacks of plugins that raised.
    """

    rows: list[dict[str, Any]]
    failures: list[str]
    failed_cells: frozenset[str]
    n_new: int
    traces: tuple[str, ...]


@dataclass(frozen=True)
class CheckedGrid:
    """A grid whose options are valid, as far as can be checked without loading the model."""

    grid: Grid
    allocators: Sequence[str]
    scorers: Sequence[str]
    budgets: "Sequence[Budget]"
    tasks: Sequence[str]
    lengths: Sequence[int]
    seeds: Sequence[int]
    url: "URL"

    def carry_out(self, command: Sequence[str], progress: Progress) -> FinishedRun:
        """Answer what is missing and store it.

        Args:
            command: The command to record for the run.
            progress: Shows the progress.

        Raises:
            UserError: the model, a task or a budget cannot be served; nothing was stored.
            KeyboardInterrupt: the user stopped it; every answer so far is stored.
            StoreError: the database failed.
        """
        progress.report("loading torch and transformers", 0, 1)
        from ...db.comparison import result_rows
        from ...db.store import Store
        from ..run.driver import Execution
        from ..run.plan import make_plan
        from ..run.session import carry_out, failures
        from ..run.spec import without_length

        grid, spec = self.grid, self._spec()
        if grid.length is not None and (note := without_length(spec.tasks)):
            progress.message(note)
        loaded = use_model(grid.model, grid.device, grid.dtype, grid.thinking, progress)
        plan = make_plan(spec, loaded, progress.report)
        execution = Execution(grid.batch, grid.redo, grid.keep_prompts)
        with Store.open(self.url, create=True) as store:
            outcome = carry_out(plan, store, command, execution, progress.report)
            rows = result_rows(store, [cell.id for cell in plan.cells])
        return FinishedRun(
            rows,
            failures(plan, outcome),
            frozenset(outcome.failures),
            outcome.n_new,
            tuple(outcome.traces.values()),
        )

    def _spec(self) -> "RunSpec":
        from ..methods.method import build_methods
        from ..run.spec import RunSpec, tasks_at_lengths
        from ..samples.source import SampleSource

        grid = self.grid
        return RunSpec(
            methods=build_methods(self.allocators, self.scorers, self.budgets, grid.sink, grid.window, grid.baselines),
            tasks=tasks_at_lengths(self.tasks, self.lengths),
            seeds=tuple(self.seeds),
            protocol="aware" if grid.protocol == "aware" else "agnostic",
            source=SampleSource(grid.limit, _folder(grid.data_dir), _folder(grid.samples)),
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
    from ..methods.budget import parse_budgets

    grid = _checked_types(grid)
    samples_limit(grid.limit)
    at_least_one("--batch", grid.batch)
    one_of("--protocol", grid.protocol, ("agnostic", "aware"))
    if grid.samples is not None and grid.data_dir is not None:
        raise UserError("give either --samples or --data-dir: exported samples hold their data.")
    if grid.max_length is not None:
        at_least_one("--max-length", grid.max_length)
    budgets = parse_budgets(shares_of(grid.ratio), numbers_of("--keep-tokens", grid.keep_tokens))
    lengths = numbers_of("--length", LENGTH if grid.length is None else grid.length)
    seeds = numbers_of("--seed", grid.seed)
    names = names_of(grid.tasks, "--tasks") or []
    for option, values in (("--length", lengths), ("--seed", seeds), ("--tasks", names)):
        if not values:
            raise UserError(f"{option} is empty; name at least one, or leave the option out.")
    from ...tasks.catalog import expand

    tasks = expand(names)
    allocators, scorers = _plugins(grid, budgets)
    _check_places(grid)
    return CheckedGrid(grid, allocators, scorers, budgets, tasks, lengths, seeds, _database(grid))


def _checked_types(grid: Grid) -> Grid:
    """The grid with every option of its type, and iterators turned into lists.

    Raises:
        UserError: an option is of another type.
    """
    if not isinstance(grid.model, Model):
        text_of("model", grid.model)
    check_progress(grid.progress)
    checks: Mapping[Callable[[str, Any], Any], Sequence[str]] = {
        lambda _, value: read_once(value): ("allocator", "scorer", "ratio", "keep_tokens", "tasks", "length", "seed"),
        text_of: ("protocol",),
        optional_text: ("device", "dtype"),
        whole_number: ("limit", "batch"),
        optional_number: ("sink", "window", "max_length"),
        optional_place: ("data_dir", "samples", "db"),
        switch: ("thinking", "truncate", "baselines", "redo", "keep_prompts"),
    }
    checked = {name: check(name, getattr(grid, name)) for check, names in checks.items() for name in names}
    return replace(grid, **checked)


def _plugins(grid: Grid, budgets: "Sequence[Budget]") -> tuple[list[str], list[str]]:
    """Allocators and scorers, all of them registered, with budgets that hold what the scorers protect."""
    from ..methods.protection import check_budgets
    from ..plugins.names import split_specs

    allocators = split_specs("allocator", names_of(grid.allocator, "--allocator") or [""])
    scorers = split_specs("scorer", names_of(grid.scorer, "--scorer") or [""])
    if grid.baselines or any(spec.partition(":")[0] != "full" for spec in allocators):
        check_budgets(budgets, scorers, grid.sink, grid.window)
    return allocators, scorers


def _check_places(grid: Grid) -> None:
    """Refuse a model name, database or folder that cannot be used."""
    from ..files.access import user_path
    from ..models.find import check_model_name

    if isinstance(grid.model, str):
        check_model_name(grid.model)
    from ...db.named import check_usable, named_file

    if (file := named_file(_text(grid.db))) is not None:
        check_usable(file)
    for option, folder in (("--samples", grid.samples), ("--data-dir", grid.data_dir)):
        if folder is not None and not user_path(Path(folder), option).is_dir():
            raise UserError(f"{option} {folder} is not a folder.")


def _database(grid: Grid) -> "URL":
    from ...db.urls import check_writable, resolve_url

    url = resolve_url(_text(grid.db))
    check_writable(url)
    return url


def _text(place: str | Path | None) -> str | None:
    return None if place is None else str(place)


def _folder(place: str | Path | None) -> Path | None:
    return None if place is None else Path(place).expanduser()


@keywords_of(Grid)
@python_messages()
def run(grid: Grid) -> "pd.DataFrame":
    """Evict, answer and score as `lukv-bench run` does; gives a row per cell, with the columns of `Results.cells`.

    Each answer is stored as soon as it is complete. The same call again answers what is missing or failed and repeats
    nothing, also after an interrupt. The keywords are the attributes of `Grid`. Failed answers are counted in the
    column `n_failed`, with the first reason in `error`, and a warning is issued for each cell that has any.

    Raises:
        UserError: an option, the model or a task cannot be served; nothing was stored.
        KeyboardInterrupt: the user stopped it; every answer so far is stored.
        StoreError: the database failed.
    """
    from ...db.queries import COMPARED_COLUMNS, rows_frame
    from ...db.urls import describe
    from .recorded import recorded_command, words_of

    checked = check_grid(grid)
    command = recorded_command(["lukv_bench.run", *words_of(checked.grid)], describe(checked.url))
    with shown_progress(grid.progress) as progress:
        finished = checked.carry_out(command, progress)
    for line in finished.failures:
        warnings.warn(line, RuntimeWarning, stacklevel=4)
    return rows_frame(finished.rows, COMPARED_COLUMNS)
