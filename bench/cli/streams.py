"""The three standard streams, whatever they are connected to: closed, full, or without the characters of a name."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

STDIN, STDOUT, STDERR = 0, 1, 2


class Output(io.FileIO):
    """A stream that takes everything: what cannot be written is dropped, so that no work is lost over it.

    Attributes:
        failure: The first error; None while all was written.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write, or remember why not."""
        if self.failure is None:
            try:
                return super().write(data)
            except OSError as error:
                self.failure = error
        return memoryview(data).nbytes

    def text(self, like: TextIO | None, line_buffering: bool) -> io.TextIOWrapper:
        """As a text stream; characters that its encoding lacks are escaped."""
        encoding = like.encoding if like is not None else "utf-8"
        return io.TextIOWrapper(
            io.BufferedWriter(self), encoding=encoding, errors="backslashreplace", line_buffering=line_buffering
        )


@contextmanager
def standard_streams() -> Iterator[Output]:
    """In the block `sys.stdout` alone reaches the program's standard output; descriptor 1 leads to stderr.

    What a plugin or a library prints, from C too, is thereby no part of our output. Descriptor 1 is not given back:
    C libraries hold text back until the process ends, and what is printed while Python shuts down goes to stderr, too.
    A stream that is closed is opened on nothing, so that no other file takes its number.
    """
    closed = _open_closed()
    output = Output(os.dup(STDOUT), "wb")
    if STDOUT in closed:
        output.failure = OSError("it is closed")
    if sys.stdout is not None:
        sys.stdout.flush()
    stdout = output.text(sys.stdout, sys.stdout is not None and bool(sys.stdout.isatty()))
    stderr = Output(STDERR, "wb", closefd=False).text(sys.stderr, line_buffering=True)
    os.dup2(STDERR, STDOUT)
    sys.stdout, sys.stderr = stdout, stderr
    try:
        yield output
    finally:
        sys.stdout = sys.stderr
        stdout.close()


def _open_closed() -> set[int]:
    """Open the closed ones of the three descriptors on the null device; which they were."""
    closed = set()
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
            closed.add(descriptor)
    return closed
