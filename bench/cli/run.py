"""`lukv-bench run`."""

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from ... import UserError
from ..api.checked import CheckedGrid, check_grid
from ..api.defaults import MODEL, SCHEDULE, TASKS
from ..api.finished import FinishedRun
from ..api.grid import Grid
from ..api.keywords import keywords_of
from ..api.values import auto_or_number, axis, model_names, whole_numbers
from ..errors import printable
from ..reports.progress import progress
from .added_options import Floors, Oracles
from .messages import sentence
from .options import (
    Address,
    Allocators,
    Backend,
    Batch,
    Config,
    Cost,
    Database,
    DataDir,
    Device,
    DryRun,
    Dtype,
    EvidenceLayers,
    Exclude,
    Executor,
    FailFast,
    Fidelity,
    Include,
    Json,
    KeepPrompts,
    KeepTokens,
    Length,
    MaxLength,
    MaxMemory,
    Models,
    NewTokens,
    NoBaselines,
    NoDrafts,
    NoTruncate,
    Protocol,
    Ratio,
    Redo,
    Repeats,
    Samples,
    Schedules,
    Scorers,
    Seeds,
    Shard,
    Sink,
    Tasks,
    Thinking,
    Traceback,
    Window,
    Workers,
)
from .own_options import AnswerTokens, Data, DataName, Metric, Question, RunLimit


@dataclass(frozen=True)
class RunOptions:
    """The options of `run`, as typed."""

    allocator: Allocators = None
    scorer: Scorers = None
    ratio: Ratio = None
    keep_tokens: KeepTokens = None
    schedule: Schedules = None
    model: Models = None
    tasks: Tasks = None
    length: Length = None
    limit: RunLimit = None
    seed: Seeds = None
    include: Include = None
    exclude: Exclude = None
    protocol: Protocol = "agnostic"
    thinking: Thinking = False
    sink: Sink = None
    window: Window = None
    data: Data = None
    metric: Metric = None
    question: Question = None
    data_name: DataName = None
    answer_tokens: AnswerTokens = None
    data_dir: DataDir = None
    samples: Samples = None
    no_truncate: NoTruncate = False
    max_length: MaxLength = None
    db: Database = None
    device: Device = None
    dtype: Dtype = None
    backend: Backend = None
    no_baselines: NoBaselines = False
    floors: Floors = False
    oracles: Oracles = False
    batch: Batch = "auto"
    max_memory: MaxMemory = None
    no_drafts: NoDrafts = False
    fidelity: Fidelity = None
    redo: Redo = False
    fail_fast: FailFast = False
    dry_run: DryRun = False
    keep_prompts: KeepPrompts = False
    evidence_layers: EvidenceLayers = False
    shard: Shard = None
    executor: Executor = None
    workers: Workers = None
    address: Address = None
    cost: Cost = False
    repeats: Repeats = None
    new_tokens: NewTokens = None
    traceback: Traceback = False
    json: Json = False
    config: Config = None


@keywords_of(RunOptions)
def run(options: RunOptions) -> int:
    """Evict, answer and score: every allocator with every scorer at every budget, beside full and uniform.

    Options that can be given several values take them repeated or separated by commas; every combination runs.
    Every answer is stored as it comes. The same command again finishes what is missing, retries what failed
    and repeats nothing; typed in several terminals at once, it shares the work among them.
    Without --ratio or --keep-tokens, 80% of the cache is pruned.

    With --data the questions are your own, about your own documents.

    With --cost the same cells are measured, one after the other: time to the first token step by step, time per later
    token, memory and bytes, every repeat kept. `results --cost` shows them, and only these seconds are ranked.

    Exit code 0: all cells done; 1: an answer or a cell failed; 2: the command was wrong; 130: interrupted (143 by
    SIGTERM).
    """
    checked = check_grid(_grid(options))
    if options.dry_run:
        return _forecast(checked, as_json=options.json)
    from ...db.urls import describe
    from ..api.recorded import recorded_command, words_of

    where = describe(checked.url)
    in_words = options.config or options.include or options.exclude
    command = recorded_command(["lukv-bench", "run", *words_of(checked.grid)] if in_words else sys.argv, where)
    if options.cost:
        from .cost import measure

        return measure(checked, command, where, as_json=options.json, traceback=options.traceback)
    # What a plugin or a library prints is not part of our output.
    with redirect_stdout(sys.stderr), progress() as shown:
        finished = checked.carry_out(command, shown)
    _show(finished, where, options)
    return 1 if finished.failures else 0


def _grid(options: RunOptions) -> Grid:
    if options.tasks is not None and options.data is not None:
        raise UserError("give either --tasks or --data: own documents are the task of their run.")
    return Grid(
        model=MODEL if options.model is None else model_names(options.model),
        allocator=options.allocator or "lukv",
        scorer=options.scorer or "keydiff",
        ratio=None if options.ratio is None else axis("--ratio", options.ratio),
        keep_tokens=None if options.keep_tokens is None else whole_numbers("--keep-tokens", options.keep_tokens),
        schedule=SCHEDULE if options.schedule is None else axis("--schedule", options.schedule),
        tasks=TASKS if options.tasks is None else axis("--tasks", options.tasks),
        length=None if options.length is None else whole_numbers("--length", options.length),
        limit=options.limit,
        seed=0 if options.seed is None else whole_numbers("--seed", options.seed),
        include=_combinations("--include", options.include),
        exclude=_combinations("--exclude", options.exclude),
        protocol=options.protocol,
        thinking=options.thinking,
        sink=options.sink,
        window=options.window,
        data=options.data,
        metric=options.metric,
        question=options.question or (),
        data_name=options.data_name,
        answer_tokens=options.answer_tokens,
        data_dir=options.data_dir,
        samples=options.samples,
        truncate=not options.no_truncate,
        max_length=options.max_length,
        db=options.db,
        device=options.device,
        dtype=options.dtype,
        backend=options.backend,
        baselines=not options.no_baselines,
        floors=options.floors,
        oracles=options.oracles,
        batch=auto_or_number("--batch", options.batch),
        max_memory=options.max_memory,
        drafts=not options.no_drafts,
        fidelity=options.fidelity,
        redo=options.redo,
        fail_fast=options.fail_fast,
        keep_prompts=options.keep_prompts,
        evidence_layers=options.evidence_layers,
        shard=options.shard,
        executor=options.executor,
        workers=options.workers,
        address=options.address,
        cost=options.cost,
        repeats=options.repeats,
        new_tokens=options.new_tokens,
    )


def _combinations(option: str, texts: list[str] | None) -> list[dict[str, list[Any]]]:
    if not texts:
        return []
    from .sweep import combinations  # reads YAML, which few commands need

    return combinations(option, texts)


def _forecast(checked: CheckedGrid, *, as_json: bool) -> int:
    from ..api.forecast import forecast_grid, forecast_measurements
    from .forecast import print_cost_forecasts, print_forecasts

    # What a plugin or a library prints is not part of our output.
    with redirect_stdout(sys.stderr), progress() as shown:
        costs = forecast_measurements(checked, shown) if checked.grid.cost else []
        forecasts = [] if checked.grid.cost else forecast_grid(checked, shown)
    if checked.grid.cost:
        print_cost_forecasts(costs, as_json=as_json)
    else:
        print_forecasts(forecasts, as_json=as_json)
    return 0


def _show(finished: FinishedRun, where: str, options: RunOptions) -> None:
    from ..reports.table import print_json, print_table

    if options.json:
        print_json(finished.rows)
    else:
        print_table(finished.rows, explained=frozenset(finished.failed_cells))
    for line in finished.failures:
        print(sentence(line), file=sys.stderr)
    if finished.stopped:
        print(sentence(f"stopped at the first failed answer (--fail-fast): {finished.stopped}"), file=sys.stderr)
    saved = f"; {finished.n_saved} of {finished.n_steps} decoding steps saved by drafts" if finished.n_saved else ""
    print(sentence(f"{finished.n_new} new answers{saved}; all are in {where}"), file=sys.stderr)
    if options.traceback:
        for trace in finished.traces:
            print("\n".join(map(printable, trace.splitlines())), file=sys.stderr)
