"""Is everything right on this GPU, and what does it cost? One report in less than ten minutes (docs/gpu-check.md).

    make gpu-check [ARGS="--out FOLDER --parts kernels timings cells --rehearse"]

kernels   every op in every shipped type and head dim, compiled, against plain torch
timings   the ops at the shape of Llama-3.1-8B, and the bytes a second that they move
cells     three cells from end to end: that shape with random weights, 32,768 tokens of context

Nothing is fetched. Each part has its time and a process of its own: one that fails, hangs or crashes is reported, and
the others still run. Exit code 1 if something is wrong or was not reached. Without a GPU nothing is checked, nothing
is written, and the exit code is 0. --rehearse runs all parts in small on the CPU, to see that this machine has what
they need; it says nothing of a GPU.
"""

import argparse
import re
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_parts import PartResult, run_part
from gpu_report import all_right, document, markdown, versions, write
from gpu_worker import Request

SECONDS = {"kernels": 200, "timings": 100, "cells": 280}
"""A part also has what the parts before it left over."""
REHEARSAL_S = 300
REHEARSED = {"kernels": "triton-interpret", "timings": "torch", "cells": "torch"}
"""Backends of a rehearsal: interpreted kernels take seconds for each op."""
NO_GPU = "No GPU that torch can use is here: nothing was checked and nothing is claimed."
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=SECONDS, default=list(SECONDS), help="default: all")
    parser.add_argument("--out", type=Path, help="folder of the report; default: docs/results, a rehearsal: none")
    parser.add_argument("--rehearse", action="store_true", help="in small on the CPU")
    given = parser.parse_args(arguments)
    if given.out is not None and given.out.exists() and not given.out.is_dir():
        parser.error(f"--out {given.out}: not a folder")
    return given


def environment(is_rehearsal: bool) -> dict[str, Any]:
    """What the report was made on."""
    import torch

    from lukv_bench.bench.record.environment import machine

    facts: dict[str, Any] = machine(torch.device("cpu" if is_rehearsal else "cuda"))
    if not is_rehearsal:
        card = torch.cuda.get_device_properties(0)
        facts["compute capability"] = f"{card.major}.{card.minor}"
        facts["memory"] = f"{card.total_memory / 2**30:.1f} GiB"
    title = "a rehearsal on the CPU, which says nothing of a GPU" if is_rehearsal else facts["gpu"]
    return {"title": title, "day": time.strftime("%Y-%m-%d"), **facts, **versions()}


def run_parts(names: Sequence[str], is_rehearsal: bool) -> list[PartResult]:
    """The parts one after the other."""
    results, left = [], 0.0
    for name in (name for name in SECONDS if name in names):
        seconds = REHEARSAL_S if is_rehearsal else SECONDS[name] + left
        print(f"{name}: at most {seconds:.0f} s", file=sys.stderr, flush=True)
        request = (
            Request(name, "cpu", REHEARSED[name], True) if is_rehearsal else Request(name, "cuda", "triton", False)
        )
        results.append(run_part(request, seconds, _say))
        left = max(seconds - results[-1].took_s, 0.0)
    return results


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse(arguments)
    import torch

    from lukv_bench.kernels.backend import BackendError, resolve

    if not given.rehearse:
        if not torch.cuda.is_available():
            print(NO_GPU)
            return 0
        try:
            resolve("triton", torch.device("cuda"))
        except BackendError as error:
            print(f"gpu-check: error: {error}", file=sys.stderr)
            return 2
    facts = environment(given.rehearse)
    command = shlex.join(["make", "gpu-check", *([f"ARGS={shlex.join(sys.argv[1:])}"] if sys.argv[1:] else [])])
    results = run_parts(given.parts, given.rehearse)
    report = document(facts, command, results)
    print(markdown(report))
    folder = given.out or (None if given.rehearse else RESULTS)
    if folder is not None:
        name = "rehearsal" if given.rehearse else re.sub(r"\W+", "_", facts["gpu"]).strip("_").lower()
        print(*(f"written: {path}" for path in write(report, folder, f"gpu_check_{name}")), sep="\n")
    return int(not all_right(results))


if __name__ == "__main__":
    sys.exit(main())
