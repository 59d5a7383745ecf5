"""Carries out a run and records its start and end, including interrupts and errors."""

from collections.abc import Sequence

from ...db.heartbeat import heartbeat
from ...db.store import Store
from ..errors import EXIT_INTERRUPTED, Interrupted
from .driver import Driver, Execution, FirstFailure, missing, requested
from .executors.base import Executor
from .meter import Meter, RunReport
from .outcome import Outcome
from .plan import Plan
from .references import FullReferences
from .rows import environment_row, plan_rows


def carry_out(
    plan: Plan, store: Store, command: Sequence[str], execution: Execution, executor: Executor, report: RunReport
) -> Outcome:
    """Answer what is missing of a plan, or all of it again, and record the run.

    Raises:
        Interrupted: the user stopped it; every answer so far is stored.
        StoreError: the database failed.
        WorkerError: no worker is left; every answer so far is stored.
    """
    store.put(*plan_rows(plan))
    store.forget_failures([method.without_profile_id for method in plan.methods if method.profiles])
    run_id = store.start_run(command, environment_row(plan.loaded))
    outcome = Outcome()
    with heartbeat(store, run_id):
        try:
            _run(plan, store, run_id, execution, executor, report, outcome)
        except FirstFailure:
            outcome.stopped = _first_failure(plan, outcome)
        except KeyboardInterrupt as stop:
            code = stop.exit_code if isinstance(stop, Interrupted) else EXIT_INTERRUPTED
            store.finish_run(run_id, code)
            raise Interrupted(_stored(plan, store, outcome, execution), code) from None
        except Exception:
            store.finish_run(run_id, 1)
            raise
        store.finish_run(run_id, 1 if outcome.failures else 0)
    return outcome


def _run(
    plan: Plan,
    store: Store,
    run_id: str,
    execution: Execution,
    executor: Executor,
    report: RunReport,
    outcome: Outcome,
) -> None:
    todo = missing(plan, store, execution.shard, redo=execution.redo)
    meter = Meter.of(plan, todo, report)
    store.on_lock = lambda waited_s: meter.show(f"waiting for the database: locked for {waited_s:.0f} s")
    Driver(plan, store, run_id, executor, todo, execution, meter, outcome, FullReferences(plan, store)).run()


def _stored(plan: Plan, store: Store, outcome: Outcome, execution: Execution) -> str:
    total = sum(map(len, requested(plan, execution.shard).values()))
    if execution.redo:
        return f"{outcome.n_new} of {total} answers were replaced, the others are unchanged."
    stored = total - sum(map(len, missing(plan, store, execution.shard).values()))
    return f"{stored} of {total} answers are stored; run the same command again to continue."


def _first_failure(plan: Plan, outcome: Outcome) -> str:
    """The failure that ended a run, in one line: its method, its sample and its reason."""
    cell_id, failure = next(iter(outcome.failures.items()))
    cell = next(cell for cell in plan.cells if cell.id == cell_id)
    sample = failure.sample or cell.samples.task.info.name
    return f"{cell.method.label} on {sample}: {' '.join(failure.reason.split())}"


def failures(plan: Plan, outcome: Outcome) -> list[str]:
    """A line for each cell that failed: how many of its answers, and the first reason."""
    lines, several_seeds = [], len({samples.task.seed for samples in plan.sample_sets}) > 1
    for cell in plan.cells:
        failure = outcome.failures.get(cell.id)
        if failure is None:
            continue
        task = cell.samples.task
        at = "" if task.length is None else f" at {task.length}"
        at += f", seed {task.seed}" if several_seeds else ""
        count = f"{failure.n_answers} of {len(cell.samples)} answers: " if failure.n_answers else ""
        lines.append(f"failed: {cell.method.label} on {task.info.name}{at}: {count}{' '.join(failure.reason.split())}")
    return lines
