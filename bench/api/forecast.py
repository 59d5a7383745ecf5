"""What a checked grid would do, model by model, without answering and without storing anything."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from ...db.errors import NoResultsError
from ..reports.progress import Progress
from .checked import CheckedGrid
from .in_turn import naming_model, release
from .model import use_model

if TYPE_CHECKING:
    from ..run.forecast import Forecast


def forecast_grid(checked: CheckedGrid, progress: Progress) -> "list[Forecast]":
    """A forecast for each model, each loaded in turn. Profiles that are not there are not made.

    Raises:
        UserError: a model, a task or a budget cannot be served, or the results cannot be read.
        StoreError: the database failed.
    """
    progress.report("loading torch and transformers", 0, 1)
    from ...db.store import Store
    from ..run.forecast import forecast
    from ..run.plan import make_plan

    grid, specs, forecasts = checked.grid, checked.specs(progress), []
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
            forecasts.append(forecast(plan, store, checked.execution()))
            del loaded, plan
        release()
    return forecasts
