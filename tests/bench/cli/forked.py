"""The command line in a process that need not import torch: it is forked from a server that has imported it once.

What a program does and says while it imports shows in the installed one alone: `start` and `program` of the fixtures.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from pathlib import Path

import pytest

from lukv_bench.bench.cli import app

PROGRAM = Path(__file__).with_name("forked_program.py")
PRELOADED = [
    "lukv_bench.bench.cli.app",
    "lukv_bench.bench.cli.run",
    "lukv_bench.bench.run.session",
    "transformers.models.llama.modeling_llama",
]
"""What a run imports."""


def start_server() -> None:
    """The first call imports; Python ends the server with this process."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in app.QUIET.items():  # libraries read them when they are imported
            patch.setenv(name, os.environ.get(name, value))
        forkserver.ensure_running()


class Forked:
    """A command at work; the methods that it shares with subprocess.Popen do the same."""

    def __init__(self, arguments: Sequence[object], folder: Path, daemon: bool = True) -> None:
        self._streams = [folder / "out", folder / "err"]
        start_server()
        given = {
            "arguments": [*map(str, arguments)],
            "streams": [*map(str, self._streams)],
            "folder": os.getcwd(),
            "variables": dict(os.environ),
        }
        self._process = multiprocessing.get_context("forkserver").Process(
            target=runpy.run_path, args=(str(PROGRAM), {"GIVEN": given}), daemon=daemon
        )
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        """Minus the signal where one ended it."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("lukv-bench", timeout or 0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it has printed by its end: stdout, stderr."""
        self.wait(timeout)
        out, err = (stream.read_text(encoding="utf-8") if stream.exists() else "" for stream in self._streams)
        return out, err

    def send_signal(self, number: int) -> None:
        if self._process.exitcode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def wait_until(condition: Callable[[], object], process: Forked, within_s: float = 120) -> None:
    """Wait until something holds while a command is at work; fails if the command ends first, or it takes longer."""
    until = time.monotonic() + within_s
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
