"""CPU seconds that commands take which need no model, over those of importing typer and rich alone.

    python tests/benchmarks/startup.py [--repeats N] [--vs PYTHON] [--json]

Processor time, not the clock's: another process beside it changes little. Every command runs once in each round, and
the least of the rounds is reported. `--vs` names the Python of another environment, that of an older checkout for one,
whose commands run in the same rounds.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

COMMANDS = (
    "--help",
    "run --help",
    "run --allocator nosuch",
    "run --scorer nosuch",
    "run --ratio 2",
    "run --tasks nosuch",
    "run --keep-tokens 3",
    "run --model nosuch",
    "run --db .",
    "results --db none.db",
    "results --task nosuch",
    "profile --out . --scorer nosuch",
    "inspect --context none.txt",
    "list allocators",
    "list scorers",
    "list scorers snapkv",
    "list tasks",
    "list models",
    "tasks export --out . --tasks nosuch",
)


def cpu_s(command: list[str], folder: str) -> float:
    """The user and system time of a process and its children."""
    environment = {**os.environ, "XDG_DATA_HOME": folder, "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, cwd=folder, env=environment, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def least(commands: list[list[str]], repeats: int) -> list[float]:
    """The least time of each command over the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        rounds = [[cpu_s(command, folder) for command in commands] for _ in range(repeats)]
    return [min(times) for times in zip(*rounds, strict=True)]


def main() -> None:
    """Print a line, or an object, for each command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--vs", type=Path, help="Python of another environment that lukv-bench is installed in")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pythons = [Path(sys.executable), *([] if options.vs is None else [options.vs.absolute()])]
    programs = [str(python.with_name("lukv-bench")) for python in pythons]
    base, *times = least(
        [
            [sys.executable, "-c", "import typer, rich"],
            *([program, *command.split()] for command in COMMANDS for program in programs),
        ],
        options.repeats,
    )
    rows: list[dict[str, Any]] = [
        {"command": command, "cpu_s": times[at], "ratio": times[at] / base}
        | ({} if options.vs is None else {"vs_cpu_s": times[at + 1], "vs_ratio": times[at + 1] / base})
        for at, command in zip(range(0, len(times), len(programs)), COMMANDS, strict=True)
    ]
    if options.json:
        print(json.dumps({"typer_and_rich_s": base, "commands": rows}, indent=1))
        return
    print(f"{'import typer, rich':<40} {base:6.3f} s")
    for row in rows:
        other = f"   vs {row['vs_cpu_s']:6.3f} s  {row['vs_ratio']:5.1f} x" if options.vs is not None else ""
        print(f"{row['command']:<40} {row['cpu_s']:6.3f} s  {row['ratio']:5.1f} x{other}")


if __name__ == "__main__":
    main()
