"""Calls plugin code: its exceptions become one error that names the line, and it cannot end the process."""

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from ... import UserError
from ..errors import PluginError, PluginFailure, WriteError, message_of, one_line
from .bound import Bound

LONGEST_TRACE = 20_000
"""Most characters of a traceback that are kept, from its end."""


class ForcedExit(BaseException):
    """A plugin called `os._exit` or `os.abort`; this ends its own cell and not the run."""


@contextmanager
def plugin_code(package: str) -> Iterator[None]:
    """Run code of a plugin. KeyboardInterrupt, UserError, PluginError and WriteError propagate unchanged.

    Args:
        package: Top-level package or module of the plugin; the error names its innermost line.

    Raises:
        PluginFailure: for any other exception, including `BaseException`.
    """
    with _no_forced_exit():
        try:
            yield
        except (KeyboardInterrupt, UserError, PluginError, PluginFailure, WriteError):
            raise
        except BaseException as error:  # plugin code may raise anything
            raise PluginFailure(_line(error, package), message_of(error), _trace(error)) from None


def package_of(plugin: Any) -> str:
    """Top-level package or module of a plugin's class or instance."""
    instance = plugin.instance if isinstance(plugin, Bound) else plugin
    owner = instance if isinstance(instance, type) else type(instance)
    return owner.__module__.partition(".")[0]


def _line(error: BaseException, package: str) -> str:
    if isinstance(error, SystemExit):
        reason = f"it tried to end the program ({message_of(error)})"
    elif isinstance(error, ForcedExit):
        reason = f"it tried to end the program ({error})"
    else:
        message = message_of(error)
        reason = one_line(type(error).__name__) + (f": {message}" if message else "")
    place = _place(error, package)
    return f"{reason} ({place})" if place else reason


def _place(error: BaseException, package: str) -> str:
    """File and line of the plugin's innermost frame. The file is named by its module: folders must not be stored."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] == package:
            inside = "/__init__" if "__path__" in frame.f_globals else ""
            place = f"{module.replace('.', '/')}{inside}.py:{line}"
    return place


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-LONGEST_TRACE:]


@contextmanager
def _no_forced_exit() -> Iterator[None]:
    """Within the block `os._exit` and `os.abort` raise, except in a child process that the plugin forked."""
    own = os.getpid()

    def refusing(name: str, real: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
        def refuse(*arguments: Any) -> NoReturn:
            if os.getpid() != own:
                real(*arguments)
            raise ForcedExit(f"os.{name}")

        return refuse

    real_exit, real_abort = os._exit, os.abort
    os._exit, os.abort = refusing("_exit", real_exit), refusing("abort", real_abort)
    try:
        yield
    finally:
        os._exit, os.abort = real_exit, real_abort
