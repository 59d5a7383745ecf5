"""What `run --cost` would measure, without measuring and without storing anything."""

from dataclasses import dataclass

from ...db.costs import done_costs
from ...db.store import Store
from ..run.plan import Plan
from ..run.rows import environment_row
from .request import CostSettings
from .session import cost_id


@dataclass(frozen=True)
class CellForecast:
    """A cell that would be measured.

    Attributes:
        method: As written on the command line, its schedule included.
        seed: Of its sample.
        n_context: Tokens of its sample's context.
        n_question: Tokens of its sample's question.
        is_done: Whether its measurement is stored.
    """

    method: str
    task: str
    length: int | None
    seed: int
    n_context: int
    n_question: int
    is_done: bool


@dataclass(frozen=True)
class CostForecast:
    """What a run would measure on one model.

    Attributes:
        settings: How each cell is measured.
        to_make: Profiles that are made first.
    """

    model: str
    revision: str
    dtype: str
    device: str
    cells: tuple[CellForecast, ...]
    settings: CostSettings
    to_make: tuple[str, ...]

    @property
    def n_todo(self) -> int:
        """Cells without a measurement."""
        return sum(not cell.is_done for cell in self.cells)


def forecast_costs(plan: Plan, store: Store | None, settings: CostSettings, *, redo: bool) -> CostForecast:
    """What a run of the plan would measure.

    Args:
        plan: Made without making profiles, passed by `check_measurable`.
        store: The results, where there are any.
        settings: How it would be measured.
        redo: Whether what is done would be measured again.
    """
    loaded, environment = plan.loaded, environment_row(plan.loaded)
    cells = {cost_id(cell, environment.id, settings): cell for cell in plan.cells}
    done = set() if store is None or redo else done_costs(store, cells.keys())
    forecasts = []
    for identity, cell in cells.items():
        task, sample = cell.samples.task, cell.samples.first
        forecasts.append(
            CellForecast(
                method=cell.method.label,
                task=task.info.name,
                length=task.length,
                seed=task.seed,
                n_context=len(sample.context),
                n_question=len(sample.question),
                is_done=identity in done,
            )
        )
    return CostForecast(
        model=loaded.title,
        revision=loaded.revision,
        dtype=loaded.dtype,
        device=loaded.place,
        cells=tuple(forecasts),
        settings=settings,
        to_make=plan.to_make,
    )
