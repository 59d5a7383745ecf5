"""Standard streams that never fail: also if they are closed, full, or lack the characters of a text."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

STDIN, STDOUT, STDERR = 0, 1, 2


class Output(io.FileIO):
    """A stream that drops what cannot be written, so that no work is lost.

    Attributes:
        failure: The first error; None if there was none.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write the data, or record the error."""
        if self.failure is None:
            try:
                return super().write(data)
            except OSError as error:
                self.failure = error
        return memoryview(data).nbytes

    def text(self, like: TextIO | None, line_buffering: bool) -> io.TextIOWrapper:
        """A text stream on it; characters that the encoding lacks are escaped."""
        encoding = like.encoding if like is not None else "utf-8"
        return io.TextIOWrapper(
            io.BufferedWriter(self), encoding=encoding, errors="backslashreplace", line_buffering=line_buffering
        )


@contextmanager
def standard_streams() -> Iterator[Output]:
    """Within the block only `sys.stdout` writes to the program's standard output; descriptor 1 leads to stderr.

    Output of plugins and libraries, including C code, thereby goes to stderr. Descriptor 1 is not restored, since C
    libraries may flush buffered text when the process ends. A closed stream is opened on the null device, so that no
    other file gets its number.
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
    """Open closed standard descriptors on the null device; returns which were closed."""
    closed = set()
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            closed.add(descriptor)
    return closed
