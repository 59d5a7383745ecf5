"""`lukv-bench run --cost`: what cells cost instead of what they answer."""

import sys
from contextlib import redirect_stdout

from ..api.checked import CheckedGrid
from ..api.cost import measure_grid
from ..errors import printable
from ..reports.progress import progress
from .messages import sentence


def measure(checked: CheckedGrid, command: list[str], where: str, *, as_json: bool, traceback: bool) -> int:
    """Measure a grid and show what came of it; the exit code."""
    # What a plugin or a library prints is not part of our output.
    with redirect_stdout(sys.stderr), progress() as shown:
        measured = measure_grid(checked, command, shown)
    from ..reports.costs import print_costs
    from ..reports.table import print_json

    if as_json:
        print_json(measured.rows)
    else:
        print_costs(measured.rows)
    for line in measured.failures:
        print(sentence(line), file=sys.stderr)
    if measured.stopped:
        print(sentence(f"stopped at the first failure (--fail-fast): {measured.stopped}"), file=sys.stderr)
    n_done = sum(row["status"] == "done" for row in measured.rows)
    print(sentence(f"{measured.n_new} new measurements; {n_done} are in {where}"), file=sys.stderr)
    if traceback:
        for trace in measured.traces:
            print("\n".join(map(printable, trace.splitlines())), file=sys.stderr)
    return 1 if measured.failures else 0
