"""Measures what is missing of a plan, cell after cell, and records each measurement as it comes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from math import isfinite

from ... import UserError
from ...db.cost_records import CostRecord
from ...db.costs import OverlapError, done_costs, put_cost
from ...db.heartbeat import heartbeat
from ...db.sizes import size
from ...db.store import Store
from ..engine.decode import fed_at_most
from ..engine.ready import refuse_sliding_window
from ..engine.stop import Stop
from ..errors import EXIT_INTERRUPTED, Interrupted, reason_of
from ..models.memory import measured_memory
from ..record.hashing import content_hash
from ..run.batching import Batching
from ..run.executors.setup import WorkerSetup
from ..run.plan import Plan, RunCell
from ..run.rows import environment_row, method_rows
from ..run.unit import Unit, UnitConfiguration
from .device import alone_on, device_of
from .isolation import measure_in_process
from .request import COST_VERSION, CostRequest, CostSettings, Failed, Measured

Report = Callable[[str, int, int], None]
"""Called with what is being done, the measurements done and those in all."""


@dataclass
class CostOutcome:
    """What a run measured.

    Attributes:
        ids: Of all measurements that were asked for, in order.
        n_new: Done by this run.
        failures: A line for each that failed.
        traces: The tracebacks of plugins that raised.
        stopped: The failure that ended the run; None unless it was to end at the first one.
    """

    ids: list[str] = field(default_factory=list)
    n_new: int = 0
    failures: list[str] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    stopped: str | None = None


@dataclass(frozen=True)
class CostRun:
    """How a plan is measured.

    Attributes:
        redo: Whether to measure again what is done.
        fail_fast: Whether the first failure ends the run.
    """

    settings: CostSettings
    redo: bool = False
    fail_fast: bool = False


def measure_plan(plan: Plan, store: Store, command: Sequence[str], run: CostRun, report: Report) -> CostOutcome:
    """Measure what is missing of a plan.

    Args:
        plan: Passed by `check_measurable`.
        store: Takes the measurements.
        command: Recorded for the run.
        run: How it is carried out.
        report: Shows the progress.

    Raises:
        Interrupted: the user stopped it; every measurement so far is stored.
        StoreError: the database failed.
    """
    environment = environment_row(plan.loaded)
    cells = {cost_id(cell, environment.id, run.settings): cell for cell in plan.cells}
    outcome = CostOutcome(ids=[*cells])
    store.put(*method_rows(plan))
    run_id = store.start_run(command, environment)
    with heartbeat(store, run_id):
        try:
            session = _Session(plan, store, run_id, environment.id, run, report, outcome)
            session.carry_out(cells)
        except KeyboardInterrupt as stop:
            code = stop.exit_code if isinstance(stop, Interrupted) else EXIT_INTERRUPTED
            store.finish_run(run_id, code)
            n_done = len(done_costs(store, outcome.ids))
            raise Interrupted(
                f"{n_done} of {len(cells)} measurements are stored; run the same command again to continue.", code
            ) from None
        except Exception:
            store.finish_run(run_id, 1)
            raise
        store.finish_run(run_id, 1 if outcome.failures else 0)
    return outcome


def cost_id(cell: RunCell, environment_id: str, settings: CostSettings) -> str:
    """The id of a measurement: the same where the same is measured in the same way in the same environment."""
    return content_hash([cell.id, environment_id, asdict(settings), COST_VERSION])


def unit_of(cell: RunCell, n_new_tokens: int) -> Unit:
    """What a cell is measured on: the first sample of its task, answered by a number of tokens."""
    sample, method = cell.samples.first, cell.method
    return Unit(
        sample_id=sample.id,
        context=sample.context,
        question=sample.question,
        n_sequence=len(sample.context) + len(sample.question) + fed_at_most(n_new_tokens),
        stop=Stop(n_new_tokens, frozenset()),
        seed=cell.samples.task.seed,
        configurations=(UnitConfiguration(method.configuration_id, method.method, method.profile_hashes),),
    )


def check_measurable(plan: Plan, settings: CostSettings) -> None:
    """Refuse settings that some cell cannot be measured with, while the model is in memory.

    Raises:
        UserError: more tokens than the model has positions, or more memory than is free beside the model.
    """
    loaded = plan.loaded
    for samples in plan.sample_sets:
        n_prompt = len(samples.first.context) + len(samples.first.question)
        n_sequence, limit = n_prompt + settings.n_new_tokens, loaded.shape.max_positions
        if n_sequence > limit:
            raise UserError(
                f"--new-tokens {settings.n_new_tokens} and the {n_prompt} tokens of {samples.task.info.name} are more "
                f"than the {limit} positions of {loaded.name}; use fewer, or a smaller --length."
            )
        refuse_sliding_window(loaded, n_sequence)
    free = measured_memory(loaded.devices[0])
    if settings.max_memory is not None and free is not None and settings.max_memory > free:
        raise UserError(
            f"--max-memory {size(settings.max_memory)} is more than is free on {loaded.place}, {size(free)}; use less."
        )


@dataclass(frozen=True)
class _Session:
    """A run's measurements."""

    plan: Plan
    store: Store
    run_id: str
    environment_id: str
    run: CostRun
    report: Report
    outcome: CostOutcome

    def carry_out(self, cells: dict[str, RunCell]) -> None:
        """Measure the cells that are not done, by the id of their measurement."""
        done = set() if self.run.redo else done_costs(self.store, cells.keys())
        todo = {identity: cell for identity, cell in cells.items() if identity not in done}
        device, loaded = device_of(self.plan.loaded.devices[0]), self.plan.loaded
        setup = WorkerSetup.of(loaded, str(loaded.devices[0]), self.plan.profiles, Batching())
        setup = replace(setup, n_threads=_threads())
        for number, (identity, cell) in enumerate(todo.items()):
            step = partial(self._show, cell, number, len(todo))
            step("starting")
            with alone_on(device, step):
                if not self.run.redo and done_costs(self.store, [identity]):  # by another run, meanwhile
                    continue
                began, started_at = time.monotonic(), datetime.now(UTC)
                result = self._result(setup, cell, step)
                finished_at = started_at + timedelta(seconds=time.monotonic() - began)
                asked = self._asked(identity, cell, [device.id], started_at, finished_at)
                self._put(cell, asked, result)
            if self.outcome.stopped is not None:
                return

    def _result(self, setup: WorkerSetup, cell: RunCell, step: Callable[[str], None]) -> Measured | Failed:
        if cell.method.failure is not None:
            return Failed(str(cell.method.failure))
        unit = unit_of(cell, self.run.settings.n_new_tokens)
        return measure_in_process(CostRequest(setup, unit, self.run.settings), step)

    def _put(self, cell: RunCell, asked: CostRecord, result: Measured | Failed) -> None:
        """Store what came of a measurement; what the record refuses is a failure."""
        try:
            record = _completed(asked, result)
        except ValueError as error:
            result = Failed(reason_of(error))
            record = _completed(asked, result)
        try:
            is_stored = put_cost(self.store, record, redo=self.run.redo)
        except OverlapError as error:
            self._fail(cell, str(error))
            return
        if isinstance(result, Failed):
            self.outcome.traces += [result.trace] if result.trace else []
            self._fail(cell, result.error)
        else:
            self.outcome.n_new += is_stored

    def _fail(self, cell: RunCell, reason: str) -> None:
        line = f"{_title(cell)}: {' '.join(reason.split())}"
        self.outcome.failures.append(f"failed: {line}")
        if self.run.fail_fast:
            self.outcome.stopped = line

    def _show(self, cell: RunCell, number: int, n_todo: int, step: str) -> None:
        self.report(f"{_title(cell)}: {step}", number, n_todo)

    def _asked(
        self, identity: str, cell: RunCell, devices: Sequence[str], started_at: datetime, finished_at: datetime
    ) -> CostRecord:
        """A measurement of which it is not known yet what came of it."""
        task, sample, settings = cell.samples.task, cell.samples.first, self.run.settings
        return CostRecord(
            id=identity,
            configuration_id=cell.method.configuration_id,
            task=task.info.name,
            task_version=task.info.version,
            data_revision=task.data_revision,
            length=task.length,
            sample_id=sample.id,
            run_id=self.run_id,
            environment_id=self.environment_id,
            devices=devices,
            status="failed",
            error="not measured",
            started_at=started_at,
            finished_at=finished_at,
            n_context_tokens=len(sample.context),
            n_question_tokens=len(sample.question),
            n_new_tokens=settings.n_new_tokens,
            n_repeats=settings.n_repeats,
            max_memory=settings.max_memory,
        )


def _completed(asked: CostRecord, result: Measured | Failed) -> CostRecord:
    """The record with what was measured, or why nothing was."""
    gate = result.gate
    if gate is not None:
        asked = replace(asked, gate_error=_storable(gate.error), gate_tolerance=gate.tolerance)
        asked = replace(asked, n_gate_tokens=gate.n_tokens)
    if isinstance(result, Failed):
        return replace(asked, error=result.error)
    return replace(
        asked,
        status="done",
        error=None,
        **asdict(result.sizes),
        clock=result.clock,
        memory=result.memory,
        model_bytes=result.model_bytes,
        batch_rows=result.batch_rows,
        details=result.details,
        repeats=result.repeats,
        batch=result.batch,
    )


def _storable(error: float) -> float | None:
    """A database takes neither NaN nor infinity."""
    return error if isfinite(error) else None


def _title(cell: RunCell) -> str:
    task = cell.samples.task
    return f"{cell.method.label} on {task.info.name}" + ("" if task.length is None else f" at {task.length}")


def _threads() -> int:
    """Torch's threads here, which the measurement's process shall have too."""
    import torch

    return torch.get_num_threads()
