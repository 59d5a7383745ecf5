"""Runs the parts of the GPU check, each in processes of its own and within its time."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from gpu_worker import Request

WORKER = Path(__file__).with_name("gpu_worker.py")
MOST_WORKERS = 6
"""Processes that compile and check kernels at the same time."""


@dataclass
class PartResult:
    """What came of a part.

    Attributes:
        name: Of the part.
        asked_s: The seconds it had.
        took_s: The seconds it took.
        todo: Names of its checks, as far as they are known.
        wrong: By check why it is wrong; "" = nothing is.
        data: By check what it measured.
        broken: Why the part could not begin or go on; "" = it could.
    """

    name: str
    asked_s: float
    took_s: float = 0.0
    todo: list[str] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    broken: str = ""

    @property
    def not_reached(self) -> list[str]:
        """Checks without an outcome."""
        return [name for name in self.todo if name not in self.wrong]

    @property
    def is_right(self) -> bool:
        """Whether everything was checked, and nothing is wrong."""
        return bool(self.todo) and not self.broken and not self.not_reached and not any(self.wrong.values())


def run_part(request: Request, seconds: float, say: Callable[[str], None]) -> PartResult:
    """All checks of a part; what is not done in its seconds is left out."""
    result, began = PartResult(request.part, seconds), time.monotonic()
    n = min(MOST_WORKERS, os.cpu_count() or 1) if request.part == "kernels" and not request.is_small else 1
    lock = threading.Lock()

    def one(share: int) -> None:
        Share(replace(request, share=(share, n)), began + seconds, result, lock, say).carry_out()

    with ThreadPoolExecutor(n) as threads:
        list(threads.map(one, range(n)))
    result.took_s = time.monotonic() - began
    return result


@dataclass
class Share:
    """A worker's share of a part. A worker that dies is replaced by another for the checks that are left."""

    request: Request
    deadline: float
    result: PartResult
    lock: threading.Lock
    say: Callable[[str], None]
    todo: list[str] | None = None
    begun: str = ""
    step: str = ""

    def carry_out(self) -> None:
        """Run workers until all is done, the time is up or a part cannot begin."""
        while (self.todo is None or self.todo) and time.monotonic() < self.deadline and not self.result.broken:
            self._worker()

    def _worker(self) -> None:
        request = self.request if self.todo is None else replace(self.request, names=tuple(self.todo))
        self.begun = self.step = ""
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
            _started(request, errors) as process,
        ):
            timer = threading.Timer(max(self.deadline - time.monotonic(), 0.1), process.kill)
            timer.start()
            try:
                _write(process.stdin, json.dumps(asdict(request)))
                for line in process.stdout or ():
                    if line.endswith("\n"):  # the last one may be cut off with its process
                        self.take(json.loads(line))
                code = process.wait()
            finally:
                timer.cancel()
                process.kill()
            self._ended(code, _last_line(errors))

    def take(self, message: dict[str, Any]) -> None:
        """Note a message of the worker."""
        with self.lock:
            if "broken" in message:
                self.result.broken = message["broken"]
            elif "todo" in message and self.todo is None:
                self.todo = list(message["todo"])
                self.result.todo += self.todo
            elif "begun" in message:
                self.begun = message["begun"]
            elif "step" in message:
                self.step = message["step"]
                self.say(f"{self.result.name}: {self.begun}: {self.step}")
            elif "done" in message:
                self._settle(message["done"], message["wrong"], message["data"])

    def _settle(self, name: str, wrong: str, data: dict[str, Any]) -> None:
        self.result.wrong[name], self.result.data[name] = wrong, data
        self.todo = [each for each in self.todo or () if each != name]
        self.begun = ""
        self.say(f"{self.result.name}: {name}: {wrong or 'right'}")

    def _ended(self, code: int, last: str) -> None:
        """The check at hand is wrong if its worker died of itself; where the time was up it was not reached."""
        with self.lock:
            if time.monotonic() >= self.deadline:
                return
            how = f"its process ended with code {code}" + (f" ({last})" if last else "")
            if self.begun:
                self._settle(self.begun, f"{how} while it did: {self.step or self.begun}", {})
            elif not self.result.broken and (code not in (0, 3) or self.todo is None):
                self.result.broken = how


def _started(request: Request, errors: IO[str]) -> "subprocess.Popen[str]":
    """A worker; one that is to interpret is told so before it imports Triton."""
    interprets = {"TRITON_INTERPRET": "1"} if request.backend == "triton-interpret" else {}
    command = [sys.executable, str(WORKER)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
    return subprocess.Popen(command, env=os.environ | interprets, text=True, **pipes)


def _write(stdin: IO[str] | None, text: str) -> None:
    if stdin is not None:
        with suppress(BrokenPipeError):  # a process that ended at once: its code says so
            stdin.write(text)
            stdin.close()


def _last_line(errors: IO[str]) -> str:
    errors.seek(0)
    lines: Sequence[str] = [line.strip() for line in errors if line.strip()]
    return lines[-1][:300] if lines else ""
