"""What does the 2nd, 10th, 50th and 200th configuration of a sample cost, in CPU seconds and in memory?

    python tests/benchmarks/price_of_one_more.py [--length N] [--numbers N ...] [--modes auto,no-drafts]
                                                   [--max-memory BYTES]

The default model, one thread, on a needle task: the full cache, then {keydiff, knorm} x {uniform, adakv} x 50 ratios,
in an order in which the first configurations keep about as much on average as all of them. The price of a
configuration is the difference in CPU seconds to the smaller number before it, by configuration, as a share of one
prefill (the median of all that were measured). Memory is the largest resident set while a sample is answered, over
that before it (Linux).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from many_configurations import MODES, PHASES, Measured, measure, timed, units

from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.run import worker
from lukv_bench.bench.run.unit import Unit

STEP = 31
"""Between the ratios of two configurations that follow each other, of 50 ratios from 0.01 to 0.99."""


def ordered(unit: Unit) -> Unit:
    """The unit with its configurations spread over the ratios: the full cache, then one of each pair in turn."""
    full, *rest = unit.configurations
    n_pairs = 4
    n_ratios = len(rest) // n_pairs
    spread = [rest[(STEP * n % n_ratios) * n_pairs + pair] for n in range(n_ratios) for pair in range(n_pairs)]
    return replace(unit, configurations=(full, *spread))


def resident(name: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM the most since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kib,) = (int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    return kib * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def print_prices(numbers: Sequence[int], measured: Sequence[Measured], peaks: Sequence[int]) -> None:
    """A line for each number of configurations."""
    prefill = median(one.prefill for one in measured)
    before, before_s = 0, prefill
    for n, one, peak in zip(numbers, measured, peaks, strict=True):
        share = (one.total - before_s) / (n - before) / prefill
        print(f"  configuration {n}: {share:.2f} of a prefill; {n} take {one.total:.1f} CPU s, {peak / 2**20:,.0f} MiB")
        before, before_s = n, one.total
    print(f"  one prefill: {prefill:.2f} CPU s")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--length", type=int, default=1024)
    options.add_argument("--numbers", type=int, nargs="+", default=[1, 2, 10, 50, 200])
    options.add_argument("--modes", default="auto,no-drafts")
    options.add_argument("--max-memory", type=int, default=4 * 2**30)
    given = options.parse_args()
    torch.set_num_threads(1)
    loaded = ready_model("smollm2-135m", torch.device("cpu"), "float32")
    for phase, (place, name) in PHASES.items():
        setattr(place, name, timed(phase, getattr(place, name)))
    (unit,) = units(loaded, given.length, 1, [f"0.{2 * n + 1:02}" for n in range(50)])
    unit, by = ordered(unit), worker.Worker(loaded, {})
    for mode in given.modes.split(","):
        batching, measured, peaks = replace(MODES[mode], max_memory=given.max_memory), list[Measured](), list[int]()
        for n in given.numbers:
            before = resident("VmRSS")
            forget_peak()
            measured.append(measure(by, replace(unit, configurations=unit.configurations[:n]), batching, mode))
            peaks.append(resident("VmHWM") - before)
        print(f"{mode}, {len(unit.context)} tokens:")
        print_prices(given.numbers, measured, peaks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
