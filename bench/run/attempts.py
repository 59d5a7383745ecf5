"""Steps of a worker that may fail, and what a failure becomes: an answer with an error, or an event."""

from collections.abc import Callable
from typing import TypeVar

from ..errors import PluginFailure, reason_of, without_frames
from ..methods.events import NO_FIDELITY, Event
from ..models.weights import ModelChanged
from .unit import Unit, UnitAnswer, UnitConfiguration

T = TypeVar("T")


def attempt(step: Callable[[], T]) -> T | Exception:
    """The result of a step, or the exception it raised: a plugin may raise anything, and memory may run out.

    Raises:
        ModelChanged: the run cannot continue.
    """
    try:
        return step()
    except ModelChanged:
        raise
    except (Exception, SystemExit) as error:
        return without_frames(error)


def failure(configuration: UnitConfiguration, unit: Unit, error: Exception) -> UnitAnswer:
    """The answer of a configuration that an error ended."""
    trace = error.trace if isinstance(error, PluginFailure) else ""
    return UnitAnswer.failure(configuration, unit, reason_of(error), trace)


def no_fidelity(error: Exception) -> Event:
    """The event of an answer that was not compared with the full cache's, and why."""
    return {"event": NO_FIDELITY, "error": reason_of(error)}
