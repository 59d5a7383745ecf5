"""CPU seconds that commands take which need no model, over those of importing typer and rich alone.

    python tests/benchmarks/startup.py [--repeats N] [--json]

Processor time, not the clock's: another process beside it changes little. The least of the repeats is reported.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("lukv-bench")
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


def cpu_s(command: list[str], repeats: int) -> float:
    """The least user and system time of a process and its children."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_DATA_HOME": folder, "OMP_NUM_THREADS": "1"}
        for _ in range(repeats):
            before = os.times()
            subprocess.run(command, capture_output=True, cwd=folder, env=environment, check=False)
            after = os.times()
            taken.append(sum(after[2:4]) - sum(before[2:4]))
    return min(taken)


def main() -> None:
    """Print a line, or an object, for each command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    base = cpu_s([sys.executable, "-c", "import typer, rich"], asked.repeats)
    rows = [
        {"command": command, "cpu_s": round(taken := cpu_s([str(PROGRAM), *command.split()], asked.repeats), 3)}
        | {"ratio": round(taken / base, 1)}
        for command in COMMANDS
    ]
    if asked.json:
        print(json.dumps({"typer_and_rich_s": round(base, 3), "commands": rows}, indent=1))
        return
    print(f"{'import typer, rich':<40} {base:6.3f} s")
    for row in rows:
        print(f"{row['command']:<40} {row['cpu_s']:6.3f} s  {row['ratio']:5.1f} x")


if __name__ == "__main__":
    main()
