"""`lukv-bench run`."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ... import UserError
from ..errors import printable
from ..reports.progress import progress
from .command import takes
from .messages import sentence
from .options import (
    LENGTH,
    LIMIT,
    TASKS,
    Allocators,
    Batch,
    Database,
    DataDir,
    Device,
    Dtype,
    Json,
    KeepTokens,
    Length,
    Limit,
    MaxLength,
    Model,
    NoBaselines,
    NoTruncate,
    Protocol,
    Ratio,
    Redo,
    Samples,
    Scorers,
    Seeds,
    Sink,
    Tasks,
    Thinking,
    Traceback,
    Window,
)
from .values import at_least_one, axis, one_of, samples_limit, whole_numbers

if TYPE_CHECKING:
    from ...db.store import Store
    from ..methods.budget import Budget
    from ..run.outcome import Outcome
    from ..run.plan import Plan
    from ..run.spec import RunSpec


@dataclass(frozen=True)
class RunOptions:
    """The options of `run`, as typed."""

    allocator: Allocators = None
    scorer: Scorers = None
    ratio: Ratio = None
    keep_tokens: KeepTokens = None
    model: Model = "smollm2-135m"
    tasks: Tasks = None
    length: Length = None
    limit: Limit = LIMIT
    seed: Seeds = None
    protocol: Protocol = "agnostic"
    thinking: Thinking = False
    sink: Sink = None
    window: Window = None
    data_dir: DataDir = None
    samples: Samples = None
    no_truncate: NoTruncate = False
    max_length: MaxLength = None
    db: Database = None
    device: Device = None
    dtype: Dtype = None
    no_baselines: NoBaselines = False
    batch: Batch = 1
    redo: Redo = False
    traceback: Traceback = False
    json: Json = False


@takes(RunOptions)
def run(options: RunOptions) -> int:
    """Evict, answer and score: every allocator with every scorer at every budget, beside full and uniform.

    Options that can be given several values take them repeated or separated by commas; every combination runs.
    Every answer is stored as it comes. The same command again finishes what is missing, retries what failed
    and repeats nothing; typed in several terminals at once, it shares the work among them.
    Without --ratio or --keep-tokens, 80% of the cache is pruned.

    Exit code 0: all cells done; 1: an answer or a cell failed; 2: the command was wrong; 130: interrupted (143 by
    SIGTERM).
    """
    axes = _checked(options)
    from ...db.urls import check_writable, describe, resolve_url

    url = resolve_url(options.db)
    check_writable(url)
    # What a plugin or a library prints is no part of our output.
    with redirect_stdout(sys.stderr), progress() as shown:
        shown.report("loading torch and transformers", 0, 1)
        from ...db.store import Store
        from ..engine.ready import ready_model
        from ..models.find import loading
        from ..models.load import resolve_device, resolve_dtype
        from ..run.plan import make_plan
        from ..run.session import carry_out
        from ..run.spec import without_length
        from .recorded import recorded_command

        spec = _spec(options, axes)
        if options.length is not None and (note := without_length(spec.tasks)):
            shown.message(note)
        place = resolve_device(options.device)
        kind = resolve_dtype(options.dtype, place)
        shown.report(loading(options.model), 0, 1)
        plan = make_plan(spec, ready_model(options.model, place, kind, options.thinking), shown.report)
    with Store.open(url, create=True) as store:
        with redirect_stdout(sys.stderr), progress() as shown:
            command = recorded_command(sys.argv, describe(url))
            outcome = carry_out(plan, store, command, options.batch, shown.report, redo=options.redo)
        _show(plan, store, outcome, describe(url), options.json)
    if options.traceback:
        for trace in outcome.traces.values():
            print("\n".join(map(printable, trace.splitlines())), file=sys.stderr)
    return 1 if outcome.failures else 0


@dataclass(frozen=True)
class _Axes:
    """The values of what can be given several."""

    allocators: Sequence[str]
    scorers: Sequence[str]
    budgets: "Sequence[Budget]"
    tasks: Sequence[str]
    lengths: Sequence[int]
    seeds: Sequence[int]


def _checked(options: RunOptions) -> _Axes:
    """Everything that can be known to be wrong before torch is imported, what is quick to know first.

    Each import stands where it is needed first, so that a wrong number costs no reading of plugins or tasks.
    """
    from ..methods.budget import parse_budgets

    samples_limit(options.limit)
    at_least_one("--batch", options.batch)
    one_of("--protocol", options.protocol, ("agnostic", "aware"))
    if options.samples is not None and options.data_dir is not None:
        raise UserError("give either --samples or --data-dir: exported samples hold their data.")
    if options.max_length is not None:
        at_least_one("--max-length", options.max_length)
    keep_tokens = [] if options.keep_tokens is None else whole_numbers("--keep-tokens", options.keep_tokens)
    budgets = parse_budgets([] if options.ratio is None else axis("--ratio", options.ratio), keep_tokens)
    lengths = whole_numbers("--length", options.length or [LENGTH])
    seeds = whole_numbers("--seed", options.seed or ["0"])
    from ...tasks.catalog import expand

    tasks = expand(axis("--tasks", options.tasks or [TASKS]))
    allocators, scorers = _methods(options, budgets)
    _check_places(options)
    return _Axes(allocators, scorers, budgets, tasks, lengths, seeds)


def _methods(options: RunOptions, budgets: "Sequence[Budget]") -> tuple[list[str], list[str]]:
    """Allocators and scorers, when those that are named exist and the budgets hold what the scorers protect."""
    from ..methods.protection import check_budgets
    from ..plugins.names import split_specs

    allocators = split_specs("allocator", options.allocator or ["lukv"])
    scorers = split_specs("scorer", options.scorer or ["keydiff"])
    if not options.no_baselines or any(spec.partition(":")[0] != "full" for spec in allocators):
        check_budgets(budgets, scorers, options.sink, options.window)
    return allocators, scorers


def _check_places(options: RunOptions) -> None:
    """Refuse a model, a database or a folder that cannot be one."""
    from ..files.access import user_path
    from ..models.find import check_model_name

    check_model_name(options.model)
    from ...db.named import check_usable, named_file

    if (file := named_file(options.db)) is not None:
        check_usable(file)
    for option, folder in (("--samples", options.samples), ("--data-dir", options.data_dir)):
        if folder is not None and not user_path(folder, option).is_dir():
            raise UserError(f"{option} {folder} is no folder.")


def _spec(options: RunOptions, axes: _Axes) -> "RunSpec":
    from ..methods.method import ask_methods
    from ..run.spec import RunSpec, tasks_at_lengths
    from ..samples.source import SampleSource

    baselines = not options.no_baselines
    return RunSpec(
        methods=ask_methods(axes.allocators, axes.scorers, axes.budgets, options.sink, options.window, baselines),
        tasks=tasks_at_lengths(axes.tasks, axes.lengths),
        seeds=tuple(axes.seeds),
        protocol="aware" if options.protocol == "aware" else "agnostic",
        source=SampleSource(
            limit=options.limit,
            data_dir=None if options.data_dir is None else options.data_dir.expanduser(),
            samples_dir=None if options.samples is None else options.samples.expanduser(),
        ),
        truncate=not options.no_truncate,
        max_length=options.max_length,
    )


def _show(plan: "Plan", store: "Store", outcome: "Outcome", where: str, json: bool) -> None:
    from ..reports.table import print_json, print_table, result_rows
    from ..run.session import failures

    with redirect_stdout(sys.stderr):  # a plugin's thread may still be printing
        rows = result_rows(store, [cell.id for cell in plan.cells])
    if json:
        print_json(rows)
    else:
        print_table(rows, explained=outcome.failures)
    for line in failures(plan, outcome):
        print(sentence(line), file=sys.stderr)
    print(sentence(f"{outcome.n_new} new answers; all are in {where}"), file=sys.stderr)
