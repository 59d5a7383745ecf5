"""The process of one measurement: `python -m lukv_bench.bench.cost.child` reads a request on stdin, answers on stdout.

It ends with the process that started it, whose end of stdin is open until then.
"""

import os
import pickle
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import IO

from ... import UserError
from ..errors import PluginFailure, reason_of, without_frames
from .request import CostRequest, Failed, Measured, Step

Send = Callable[[Step | Measured | Failed], None]


def main() -> None:
    """Measure one cell, and say what came of it."""
    out = _own_stdout()

    def send(message: Step | Measured | Failed) -> None:
        pickle.dump(message, out)
        out.flush()

    request: CostRequest = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    send(carry_out(request, send))


def carry_out(request: CostRequest, send: Send) -> Measured | Failed:
    """Load the model and measure; whatever is raised is the cell's failure."""
    from .measure import measure

    try:
        send(Step("loading the model"))
        worker = request.setup.make()
        configurations = tuple(one.bound(worker.profiles) for one in request.unit.configurations)
        unit = replace(request.unit, configurations=configurations)
        return measure(worker.loaded, unit, request.settings, lambda step: send(Step(step)))
    except UserError as error:
        return Failed(str(error))
    except (Exception, SystemExit) as error:  # a plugin may raise anything, and memory may run out
        plain = without_frames(error)
        return Failed(reason_of(plain), plain.trace if isinstance(plain, PluginFailure) else "")


def _own_stdout() -> IO[bytes]:
    """A stdout for messages alone: what a plugin or a library prints goes to stderr."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
