"""The command: a table of what every kernel uses on every card; exit code 1 where one may not be shipped."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from .discovery import CasesError, shipped_modules
from .gate import Verdict, jobs, verdicts
from .targets import TARGETS

_DESCRIPTION = """Compile the Triton kernels for each kind of card, without a card.

A kernel that spills registers, needs more shared memory than the card has or does not compile is named, and the exit
code is 1. What Triton compiled once it keeps in its cache. Nothing is run: this shows no speed and no result.
"""
_HEADER = ("case", "card", "registers", "spilled bytes", "shared bytes", "scalar spills")


def table(found: Sequence[Verdict]) -> list[str]:
    """A line for each case and card, columns aligned."""
    rows: list[tuple[str, ...]] = [_HEADER]
    for verdict in found:
        use = verdict.usage
        counts = (use.registers, use.spill_bytes, use.shared_bytes, use.scalar_spills) if use else ("-",) * 4
        rows.append((verdict.job.case, verdict.job.target, *map(str, counts)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="python -m lukv_bench.kernels.aot",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("modules", nargs="*", help="modules with a function cases(); default: every op's triton.py")
    options.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS), help="default: all")
    options.add_argument("--quick", action="store_true", help="each kernel's largest case for one card, cards in turn")
    options.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="default: one a core")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """0: all may be shipped; 1: some may not; 2: the question was wrong."""
    options = parser()
    given = options.parse_args(arguments)
    if given.processes < 1:
        options.error(f"--processes {given.processes}: at least 1")
    if find_spec("triton") is None:
        options.error("Triton is not installed: pip install triton")
    if os.environ.get("TRITON_INTERPRET", "0").lower() not in ("0", "false", "off", "n", "no", ""):
        options.error("a process that interprets kernels compiles none: unset TRITON_INTERPRET")
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # multiply and add become one: Triton 3.9 warns where unset
    try:
        todo = jobs(given.modules or shipped_modules(), given.targets, quick=given.quick)
    except (CasesError, ImportError) as error:
        options.error(str(error))
    found = verdicts(todo, given.processes)
    print("\n".join(table(found)))
    wrong = [verdict for verdict in found if verdict.faults]
    for verdict in wrong:
        print(*(f"{verdict.job}: {fault}" for fault in verdict.faults), sep="\n", file=sys.stderr)
    print(f"{len(found)} cases, {len(wrong)} that may not be shipped")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
