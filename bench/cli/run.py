"""`lukv-bench run`."""

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from ... import UserError
from ..errors import Interrupted
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
    Samples,
    Scorers,
    Seed,
    Sink,
    Tasks,
    Window,
    at_least_one,
    comma_list,
    one_of,
    storable,
    whole_numbers,
)
from .progress import Progress, progress
from .recorded import recorded_command

if TYPE_CHECKING:
    from ...db.store import Store
    from ..run.loop import Outcome
    from ..run.plan import Plan


def run(
    allocator: Allocators = None,
    scorer: Scorers = None,
    ratio: Ratio = None,
    keep_tokens: KeepTokens = None,
    model: Model = "smollm2-135m",
    tasks: Tasks = TASKS,
    length: Length = LENGTH,
    limit: Limit = LIMIT,
    seed: Seed = 0,
    protocol: Protocol = "agnostic",
    sink: Sink = None,
    window: Window = None,
    data_dir: DataDir = None,
    samples: Samples = None,
    no_truncate: NoTruncate = False,
    max_length: MaxLength = None,
    db: Database = None,
    device: Device = None,
    dtype: Dtype = None,
    no_baselines: NoBaselines = False,
    batch: Batch = 1,
    json: Json = False,
) -> int:
    """Evict, answer and score: every allocator with every scorer at every budget, beside full and uniform.

    Every answer is stored as it comes. The same command again finishes what is missing, retries what failed
    and repeats nothing. Without --ratio or --keep-tokens, 80% of the cache is pruned.

    Exit code 0: all cells done; 1: a cell failed; 2: the command was wrong; 130: interrupted.
    """
    from ...db.urls import check_writable, describe, resolve_url
    from ..budget import parse_budgets
    from ..models.find import check_model_name

    at_least_one("--limit", limit)
    at_least_one("--batch", batch)
    one_of("--protocol", protocol, ("agnostic", "aware"))
    if samples is not None and data_dir is not None:
        raise UserError("give either --samples or --data-dir: exported samples hold their data.")
    if max_length is not None:
        at_least_one("--max-length", max_length)
    budgets = parse_budgets(ratio or [], keep_tokens)
    lengths = whole_numbers("--length", length)
    names = comma_list("--tasks", tasks)
    for option, value in (("--seed", seed), ("--keep-tokens", keep_tokens), ("--limit", limit)):
        storable(option, value)
    check_model_name(model)
    url = resolve_url(db)
    check_writable(url)
    # What a plugin or a library prints is no part of our output.
    with redirect_stdout(sys.stderr), progress() as shown:
        shown.report("loading torch and transformers", 0, 1)
        from ...db.store import Store
        from ..engine.ready import ready_model
        from ..models.load import resolve_device, resolve_dtype
        from ..run.plan import make_plan
        from ..run.request import RunRequest, ask_methods, ask_tasks

        request = RunRequest(
            methods=ask_methods(
                allocator or ["lukv"], scorer or ["keydiff"], budgets, sink, window, baselines=not no_baselines
            ),
            tasks=ask_tasks(names, lengths),
            limit=limit,
            seed=seed,
            protocol="aware" if protocol == "aware" else "agnostic",
            truncate=not no_truncate,
            max_length=max_length,
            data_dir=data_dir,
            samples_dir=samples,
        )
        place = resolve_device(device)
        kind = resolve_dtype(dtype, place)
        shown.report(f"loading {model} (fetched on first use)", 0, 1)
        plan = make_plan(request, ready_model(model, place, kind), shown.report)
    with Store.open(url, create=True) as store:
        with redirect_stdout(sys.stderr), progress() as shown:
            outcome = _carry_out(plan, store, recorded_command(sys.argv, describe(url)), batch, shown)
        _show(plan, store, outcome, describe(url), json)
    return 1 if outcome.failed else 0


def _carry_out(plan: "Plan", store: "Store", command: list[str], batch: int, shown: Progress) -> "Outcome":
    from ..run.loop import missing, run_plan
    from ..run.rows import environment_row, plan_rows

    store.put(*plan_rows(plan))
    store.forget_failures([method.without_profile_id for method in plan.methods if method.profile is not None])
    run_id = store.start_run(command, environment_row(plan.loaded))
    todo = missing(plan, store)
    total = sum(len(samples) for samples in todo.values())
    done = 0

    def advance(doing: str, finished: int) -> None:
        nonlocal done
        done += finished
        if doing:
            shown.report(doing, done, total)

    try:
        outcome = run_plan(plan, store, run_id, todo, batch, advance)
    except KeyboardInterrupt:
        store.finish_run(run_id, 130)
        asked = sum(len(cell.task.samples) for cell in plan.cells)
        stored = asked - sum(len(samples) for samples in missing(plan, store).values())
        raise Interrupted(f"{stored} of {asked} answers are stored; the same command goes on from there.") from None
    except Exception:
        store.finish_run(run_id, 1)
        raise
    store.finish_run(run_id, 1 if outcome.failed else 0)
    return outcome


def _show(plan: "Plan", store: "Store", outcome: "Outcome", where: str, json: bool) -> None:
    from ..reports.table import print_json, print_table, result_rows

    with redirect_stdout(sys.stderr):  # a plugin's thread may still be printing
        rows = result_rows(store, [cell.id for cell in plan.cells])
    if json:
        print_json(rows)
    else:
        print_table(rows)
    labels = {cell.id: f"{cell.method.label} on {cell.task.loaded.info.name}" for cell in plan.cells}
    for identity, reason in outcome.failed.items():
        print(f"failed: {labels[identity]}: {' '.join(reason.split())}", file=sys.stderr)
    print(f"{outcome.n_new} new answers; all are in {where}", file=sys.stderr)
