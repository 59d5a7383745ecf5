"""Standard output holds what the program says and nothing else: what a plugin or a library prints goes to stderr."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STDOUT = 1
STDERR = 2


@contextmanager
def own_stdout() -> Iterator[None]:
    """In the block `sys.stdout` alone reaches the program's standard output; descriptor 1 leads to stderr.

    For a process's whole life: descriptor 1 is not given back, since C libraries hold text back until the process
    ends, and what is printed while Python shuts down goes to stderr, too. Nothing happens where there is no standard
    output or no stderr to lead it to.
    """
    theirs = sys.stdout
    if theirs is None or sys.stderr is None:
        yield
        return
    theirs.flush()
    ours = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(os.dup(STDOUT), "wb")),
        encoding=theirs.encoding,
        errors=theirs.errors,
        line_buffering=bool(theirs.line_buffering),
    )
    os.dup2(STDERR, STDOUT)
    sys.stdout = ours
    try:
        yield
    finally:
        sys.stdout = sys.stderr
        ours.close()
