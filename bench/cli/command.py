"""A command class that refuses repeated options."""

from collections import Counter

import typer
from typer.core import TyperCommand

from ... import UserError


class Command(TyperCommand):
    """A command that refuses an option given twice if it takes one value. typer would silently use the last."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # either click's
        """Refuse repeated options, then parse."""
        order = self.make_parser(ctx).parse_args(args=list(args))[2]
        counts = Counter(option for option in order if option.param_type_name == "option")
        for option, times in counts.items():
            if times > 1 and not (option.multiple or getattr(option, "is_flag", False)):
                raise UserError(f"{option.opts[0]} was given {times} times, and takes one value; give it once.")
        return super().parse_args(ctx, args)
