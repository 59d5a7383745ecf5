"""The commands by name. Only the one that is asked for is imported, so that refusing it is quick."""

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import EXIT_INTERRUPTED, Interrupted
from .command import Command, FileCommand
from .messages import sentence
from .signals import as_interrupts


@dataclass(frozen=True)
class Place:
    """Where a command is defined.

    Attributes:
        module: In this folder.
        function: In the module.
        short_help: What the list of commands says of it.
        kind: The class of the command.
        settings: Of its context.
    """

    module: str
    function: str
    short_help: str
    kind: type[Command] = Command
    settings: Mapping[str, Any] = field(default_factory=dict)


ALL_WORDS = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
"""All words after the command are for it to read, including options and --help."""

COMMANDS: Mapping[str, Place] = {
    "run": Place("run", "run", "Evict, answer, score and store: any mix of methods.", FileCommand),
    "results": Place("results", "results", "Show what was measured, a row per cell."),
    "compare": Place("compare", "compare", "Say which differences are real, over the same samples."),
    "recommend": Place("recommend", "recommend", "Say which method fits a memory and keeps enough quality."),
    "leaderboard": Place("leaderboard", "leaderboard", "Open the leaderboard, a site over the results."),
    "profile": Place("profile", "profile", "Make the profile of a fitted plugin for a model: LU-KV by default."),
    "inspect": Place("inspect", "inspect", "Show what one eviction keeps of a text."),
    "estimate": Place("estimate", "estimate", "What fits on a card, from a model's configuration alone."),
    "list": Place("listing", "list_", "List allocators, scorers, tasks or models."),
    "doctor": Place("doctor", "doctor", "Check what works here and what is missing."),
    "tasks export": Place("tasks", "export", "Write samples as files."),
    "tasks score": Place("tasks", "score", "Score what any program predicted."),
    "lm-eval": Place("lm_eval", "lm_eval", "Run lm-eval's own command line on an evicted cache.", settings=ALL_WORDS),
}
GROUP_HELP = {"tasks": "Export samples, score predictions."}


class Commands(TyperGroup):
    """The group of all commands."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # either click's
        """Their names, in the order of the table."""
        return list(dict.fromkeys(path.split()[0] for path in COMMANDS))

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # either click's
        """The command or group of a name, imported now; None if there is none."""
        return _load(cmd_name) if cmd_name in self.list_commands(ctx) else None


@functools.cache
def _load(name: str) -> Any:
    app = typer.Typer(name=name, help=GROUP_HELP.get(name), add_completion=False, rich_markup_mode=None)
    for path, place in COMMANDS.items():
        first, *rest = path.split()
        if first == name:
            function = getattr(import_module(f".{place.module}", __package__), place.function)
            register = app.command(
                *(rest or [name]),
                cls=place.kind,
                short_help=place.short_help,
                context_settings=dict(place.settings),
            )
            register(_interruptible(function))
    return typer.main.get_command(app)


def _interruptible(function: Callable[..., int]) -> Callable[..., int]:
    """Wrap a command so that it ends with one sentence on Ctrl-C, SIGTERM and SIGHUP."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> int:
        try:
            with as_interrupts():
                return function(*args, **kwargs)
        except KeyboardInterrupt as error:
            print(sentence(f"interrupted{f': {error}' if str(error) else ''}"), file=sys.stderr)
            return error.exit_code if isinstance(error, Interrupted) else EXIT_INTERRUPTED

    return wrapped
