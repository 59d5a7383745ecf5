"""Runs one measurement in a process of its own: a fresh interpreter, which a crash ends without anything else.

It is no process of `multiprocessing`, which would import the caller's script again. As there, what passes between the
two is pickled: it comes from no file and from no other process.
"""

import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..run.executors.local import manner_of
from .request import CostRequest, Failed, Measured, Step

CHILD = ("-P", "-m", "lukv_bench.bench.cost.child")
"""What the interpreter is to run; without the working folder on its path."""


def measure_in_process(
    request: CostRequest, report: Callable[[str], None], child: Sequence[str] = CHILD
) -> Measured | Failed:
    """The measurement that a request asks for, or why it gave none.

    Args:
        request: What is measured.
        report: Called before each step with its name.
        child: Arguments of the interpreter.
    """
    with subprocess.Popen(
        [sys.executable, *child],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in a terminal reaches this process, which ends that one
    ) as process:
        try:
            return _answer(process, request, report)
        finally:
            process.kill()
            if process.stdin is not None:
                with suppress(OSError):  # what it did not read
                    process.stdin.close()


def _answer(
    process: "subprocess.Popen[bytes]", request: CostRequest, report: Callable[[str], None]
) -> Measured | Failed:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a measurement's process has no pipes")
    doing = "starting"
    try:
        pickle.dump(request, process.stdin)
        process.stdin.flush()
        while True:
            message: Step | Measured | Failed = pickle.load(process.stdout)
            if not isinstance(message, Step):
                return message
            doing = message.name
            report(doing)
    except (EOFError, OSError, pickle.UnpicklingError):
        code = process.wait()
        return Failed(f"ProcessError: the measurement's process {manner_of(code)} ({doing})")
