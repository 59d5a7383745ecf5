"""Several models, one after the other: each is released before the next is loaded."""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ... import UserError
from ..errors import Interrupted
from .model import Model

if TYPE_CHECKING:
    from ..run.spec import RunSpec


class OverModels(Protocol):
    """The results of a command over several models.

    Attributes:
        failures: A line for each model that could not be run, among others.
        stopped: What ended the command early; None while it goes on.
    """

    failures: list[str]
    stopped: str | None


def for_each_model(
    specs: "Mapping[str | Model, RunSpec]", results: OverModels, carry_out: "Callable[[str | Model, RunSpec], None]"
) -> None:
    """Carry something out on each model in turn, which is released before the next, until the results say to stop.

    A model after the first that cannot be served is a failure among the results.

    Raises:
        UserError: the first model cannot be served.
    """
    for number, (model, spec) in enumerate(specs.items(), 1):
        if number > 1:
            release()
        try:
            with naming_model(model, number, len(specs)):
                carry_out(model, spec)
        except UserError as error:
            if number == 1:
                raise
            results.failures.append(f"failed: {error}")
        if results.stopped:
            break


@contextmanager
def naming_model(model: str | Model, number: int, n_models: int) -> Iterator[None]:
    """Within the block, an interrupt or a user's mistake names the model, if there are several."""
    place = f"{_name(model)} (model {number} of {n_models})" if n_models > 1 else ""
    try:
        yield
    except UserError as error:
        raise UserError(f"{place}: {error}" if place else str(error)) from error.__cause__
    except Interrupted as stop:
        raise Interrupted(f"{place}: {stop}" if place else str(stop), stop.exit_code) from None


def release() -> None:
    """Give back the memory of a model that nothing refers to any more."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _name(model: str | Model) -> str:
    return model if isinstance(model, str) else model.name
