"""Records what the samples of real runs take, for the test of the remaining time (tests/bench/run/traces).

python tests/benchmarks/record_pace.py OUT.json --tasks niah_single_1 --length 384,768 --limit 3 --allocator adakv

Every option but OUT is one of `lukv-bench run`. The seconds are the process's CPU seconds, so that other programs on
the machine do not count.
"""

import json
import platform
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != _ROOT]

time.perf_counter = time.process_time  # before the engine takes its clock from it

from lukv_bench.bench.cli import app  # noqa: E402 - the root must not be on sys.path
from lukv_bench.bench.run import session  # noqa: E402
from lukv_bench.bench.run.meter import Meter  # noqa: E402


class Recorder(Meter):
    """A meter that keeps, after each sample, what it took."""

    made: ClassVar["list[Recorder]"] = []

    @classmethod
    def of(cls, *arguments: Any) -> "Recorder":
        """As `Meter.of`."""
        meter = super().of(*arguments)
        recorder = cls(**{name: getattr(meter, name) for name in ("total", "report", "pace", "left", "clock")})
        recorder.works = [(asdict(left.load), left.n_samples, left.n_cells) for left in meter.left.values()]
        cls.made.append(recorder)
        return recorder


def main() -> None:
    """Run, then write the trace."""
    out = Path(sys.argv[1])
    session.Meter = Recorder  # type: ignore[misc]  # the one place where a run makes its meter
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = ["lukv-bench", "run", *sys.argv[2:], "--db", str(Path(folder) / "trace.db")]
        options = sys.argv[2:-2]
        code = app._code()
    if code:
        sys.exit(code)
    (meter,) = Recorder.made
    trace = {
        "command": " ".join(["lukv-bench", "run", *options]),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "attention_tokens": meter.pace.attention_tokens,
        "works": [{"load": load, "n_samples": samples, "n_cells": cells} for load, samples, cells in meter.works],
        "observed": [asdict(one) for one in meter.pace.observed],
    }
    out.write_text(json.dumps(trace, indent=1) + "\n")


if __name__ == "__main__":
    main()
