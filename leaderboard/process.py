"""The site's own process: Streamlit, which ends when the program that started it is gone, however that ended.

`python -m lukv_bench.leaderboard.process SCRIPT [FLAGS]`, with a pipe as standard input whose other end the starting
program holds open and never writes to.
"""

import os
import signal
import sys
import threading
import time

from streamlit.web import cli

_ENDING_S = 10.0
"""Seconds until the process stops without waiting for Streamlit."""


def _end_with_the_pipe() -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock, held here, would fail the interpreter's end
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_ENDING_S)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_pipe, daemon=True).start()
    cli.main(["run", *sys.argv[1:]], prog_name="streamlit")
