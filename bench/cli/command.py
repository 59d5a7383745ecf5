"""A command of the command line: its options as one object, and none of them given twice in silence."""

import functools
import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from ... import UserError

Options = TypeVar("Options")


def takes(options: type[Options]) -> Callable[[Callable[[Options], int]], Callable[..., int]]:
    """Make a command of a function: its options are the fields of a frozen dataclass, annotated for typer."""

    def decorate(function: Callable[[Options], int]) -> Callable[..., int]:
        @functools.wraps(function)
        def command(**given: Any) -> int:
            return function(options(**given))

        del command.__wrapped__  # typer would read its signature instead
        command.__annotations__ = {}
        command.__signature__ = inspect.signature(options)  # type: ignore[attr-defined]  # read by inspect.signature
        return command

    return decorate


class Command(TyperCommand):
    """A command that says so where an option that has one value is given two: only the last would count."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # either click's
        """Refuse repeated options, then parse."""
        order = self.make_parser(ctx).parse_args(args=list(args))[2]
        counts = Counter(option for option in order if option.param_type_name == "option")
        for option, times in counts.items():
            if times > 1 and not (option.multiple or getattr(option, "is_flag", False)):
                raise UserError(f"{option.opts[0]} was given {times} times, and takes one value; give it once.")
        return super().parse_args(ctx, args)
