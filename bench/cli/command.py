"""Command classes that refuse repeated options and read options from a file."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand

from ... import UserError

UsageError: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
"""The base class of usage errors, from typer's own copy of click or the installed one, depending on typer's version."""


_FILE = "lukv_bench.sweep_file"
"""Where the context of a command keeps the file that stands for its options."""


class Command(TyperCommand):
    """A command that refuses an option given twice if it takes one value. typer would silently use the last."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # either click's
        """Refuse repeated options, then parse."""
        with _naming_command(ctx):
            order = self.make_parser(ctx).parse_args(args=list(args))[2]
            counts = Counter(option for option in order if option.param_type_name == "option")
            for option, times in counts.items():
                if times > 1 and not (option.multiple or getattr(option, "is_flag", False)):
                    raise UserError(f"{option.opts[0]} was given {times} times, and takes one value; give it once.")
            return super().parse_args(ctx, args)


class FileCommand(Command):
    """A command whose `--config FILE` stands for the options that the file holds; those that are typed win."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # either click's
        """Put the file's options before the typed ones, then parse."""
        with _naming_command(ctx):
            values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        if (path := values.get("config")) is None or values.get("help"):
            return super().parse_args(ctx, args)
        from .sweep import SweepFile

        options = {option.opts[0].removeprefix("--"): option for option in self.params}
        typed = {option.opts[0].removeprefix("--") for option in order}
        from_file = {name: option for name, option in options.items() if name not in ("config", "help")}
        file = ctx.meta[_FILE] = SweepFile(path, ctx, from_file)
        return super().parse_args(ctx, [*file.words(typed), *args])

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # either click's
        """Run the command; what it refuses of an option that the file holds has the line there."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            if (file := ctx.meta.get(_FILE)) is None:
                raise
            raise file.placed(error) from error.__cause__


@contextmanager
def _naming_command(ctx: typer.Context) -> Iterator[None]:
    """Within the block, a usage error gets the context of its command, which typer's parser leaves out of some."""
    try:
        yield
    except UsageError as error:
        if getattr(error, "ctx", None) is None:
            error.ctx = ctx  # type: ignore[attr-defined]  # a usage error has it
        raise
