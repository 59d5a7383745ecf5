"""What a checked grid would do, model by model, without answering or measuring and without storing anything."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from ...db.errors import NoResultsError
from ..reports.progress import Progress
from .checked import CheckedGrid
from .cost import settings_of
from .in_turn import naming_model, release
from .model import use_model

if TYPE_CHECKING:
    from ...db.store import Store
    from ..cost.forecast import CostForecast
    from ..run.forecast import Forecast
    from ..run.plan import Plan

OfModel = TypeVar("OfModel")


def forecast_grid(checked: CheckedGrid, progress: Progress) -> "list[Forecast]":
    """A forecast for each model, each loaded in turn. Profiles that are not there are not made.

    Raises:
        UserError: a model, a task or a budget cannot be served, or the results cannot be read.
        StoreError: the database failed.
    """
    progress.report("loading torch and transformers", 0, 1)
    from ..run.forecast import forecast

    return _of_each(checked, progress, lambda plan, store: forecast(plan, store, checked.execution()))


def forecast_measurements(checked: CheckedGrid, progress: Progress) -> "list[CostForecast]":
    """What would be measured on each model, each loaded in turn. Raises as `forecast_grid`."""
    progress.report("loading torch and transformers", 0, 1)
    from ..cost.forecast import forecast_costs
    from ..cost.session import check_measurable

    settings = settings_of(checked.grid)

    def of_model(plan: "Plan", store: "Store | None") -> "CostForecast":
        check_measurable(plan, settings)
        return forecast_costs(plan, store, settings, redo=checked.grid.redo)

    return _of_each(checked, progress, of_model)


def _of_each(
    checked: CheckedGrid, progress: Progress, of_model: "Callable[[Plan, Store | None], OfModel]"
) -> list[OfModel]:
    """What is said of each model's plan and of the results, where there are any."""
    from ...db.store import Store
    from ..run.plan import make_plan

    grid, specs, said = checked.grid, checked.specs(progress), list[OfModel]()
    for number, (model, spec) in enumerate(specs.items(), 1):
        with ExitStack() as undo:
            undo.enter_context(naming_model(model, number, len(specs)))
            loaded = use_model(model, grid.device, grid.dtype, grid.backend, grid.thinking, progress)
            plan = make_plan(spec, loaded, progress.report, make_profiles=False)
            checked.note_contexts(plan, progress)
            try:
                store = undo.enter_context(Store.open(checked.url, create=False))
            except NoResultsError:
                store = None
            progress.report("estimating", 0, 1)
            said.append(of_model(plan, store))
            del loaded, plan
        release()
    return said
