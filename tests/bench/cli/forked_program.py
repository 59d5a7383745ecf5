"""Run by runpy in a forked process, given the global GIVEN: becomes `lukv-bench ARGUMENTS` in a folder."""

import gc
import os
import signal
import sys
from typing import Any

from lukv_bench.bench.cli.app import main

gc.freeze()  # what the server has imported need not be walked
given: dict[str, Any] = globals()["GIVEN"]
os.chdir(given["folder"])
os.environ.clear()
os.environ.update(given["variables"])
for descriptor, path in enumerate(given["streams"], start=1):
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["lukv-bench", *given["arguments"]]
main()
