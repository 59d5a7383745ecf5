"""What do 48 configurations of a sample cost, over the least that they could cost?

    python tests/benchmarks/many_configurations.py [--length N ...] [--limit N] [--repeat N]
                                                     [--modes auto,no-drafts,alone]

The default model, one thread, {keydiff, knorm} x {uniform, adakv} x 12 ratios and the full cache on a needle task, by
the worker of a run. The floor is the prefill and, for each configuration, the question and its answer at the prefill's
price a token. All seconds are CPU seconds of this process, since a loaded machine changes them less than the wall's.
The modes alternate within a sample; where a sample is repeated, the medians of its totals and of its prefills are put
in relation, since the seconds of a single prefill vary by a fifth on a machine in use. Exit code 1 if a mode gives
another answer than the first one.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Any

import torch
from task_prompts import prompts

from lukv_bench.bench.engine.layouts import Layout
from lukv_bench.bench.engine.quicker import QuickerLayout
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.run import answer, worker
from lukv_bench.bench.run.batching import Batching
from lukv_bench.bench.run.unit import Unit, UnitAnswer, UnitConfiguration

RATIOS = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.75", "0.8", "0.85", "0.9", "0.95")
MODES = {
    "auto": Batching(None, drafts=True),
    "no-fidelity": Batching(None, drafts=True, fidelity=False),
    "no-drafts": Batching(None),
    "alone": Batching(1),
}
ALONE = "prefill and eviction"
"""What a single configuration does in the place of prefill, choosing and compaction."""
PHASES = {
    "prefill": (worker, "read_context"),
    ALONE: (worker, "evict_alone"),
    "choosing": (worker, "select_kept"),
    "trying layouts": (QuickerLayout, "choose"),
    "compaction": (Layout, "build"),
    "decoding": (answer, "decode"),
}
NEW_TOKENS = 128
spent: Counter[str] = Counter()
"""CPU seconds by phase."""


def timed(phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any, **options: Any) -> Any:
        began = time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            spent[phase] += time.process_time() - began

    return run


def units(loaded: LoadedModel, length: int, limit: int, ratios: Sequence[str] = RATIOS) -> list[Unit]:
    """Samples of a needle task with all configurations, the full cache first."""
    budgets = [Budget(ratio=Decimal(ratio)) for ratio in ratios]
    methods = build_methods(["full", "uniform", "adakv"], ["keydiff", "knorm"], budgets, None, None, baselines=False)
    configurations = tuple(UnitConfiguration(method.label, method) for method in methods)
    stop, found = Stop(NEW_TOKENS, loaded.eos), []
    for ordinal, (prompt, _) in enumerate(prompts(loaded, "niah_single_1", length, limit)):
        n_sequence = prompt.n_tokens + NEW_TOKENS - 1
        found.append(Unit(str(ordinal), prompt.context, prompt.question, n_sequence, stop, 0, configurations))
    return found


@dataclass(frozen=True)
class Measured:
    """A unit's answers by configuration, and the CPU seconds of all and of the prefill."""

    answers: dict[str, UnitAnswer]
    total: float
    prefill: float
    n_fed: int

    def floor(self, unit: Unit, prefill: float) -> float:
        """One prefill, and every question and answer at its price a token."""
        return prefill * (1 + self.n_fed / len(unit.context))


def measure(by: worker.Worker, unit: Unit, batching: Batching, mode: str) -> Measured:
    """The answers in one mode, and what they took."""
    spent.clear()
    began = time.process_time()
    answers = {one.configuration_id: one for one in by.answers(unit, batching, lambda step: None)}
    total = time.process_time() - began
    n_steps, n_passes = (sum(getattr(one, name) for one in answers.values()) for name in ("n_steps", "n_passes"))
    n_fed = sum(len(unit.question) + one.n_steps for one in answers.values())
    done = Measured(answers, total, spent["prefill"] + spent[ALONE], n_fed)
    floor = done.floor(unit, done.prefill)
    parts = ", ".join(f"{phase} {spent[phase]:.2f}" for phase in PHASES if spent[phase])
    print(f"{len(unit.context)} tokens, {len(answers)} configurations, {mode}: {total:.2f} CPU s = {parts}")
    print(
        f"  {n_fed} tokens fed, {n_steps - n_passes} of {n_steps} steps saved; floor {floor:.2f}: {total / floor:.2f} x"
    )
    return done


def repeated(by: worker.Worker, unit: Unit, modes: Sequence[str], repeat: int) -> int:
    """Measure a unit in every mode and print the medians. Returns how many answers the modes do not agree on."""
    every = {mode: list[Measured]() for mode in modes}
    for _ in range(repeat):
        for mode, measured in every.items():
            measured.append(measure(by, unit, MODES[mode], mode))
    prefill = median(one.prefill for measured in every.values() for one in measured)
    for mode, measured in every.items():
        total, floor = median(one.total for one in measured), measured[0].floor(unit, prefill)
        print(f"  {mode}, median of {repeat}: {total:.2f} CPU s, floor {floor:.2f}: {total / floor:.2f} x")
    first, *others = (one.answers for measured in every.values() for one in measured)
    return sum(first[one].text != other[one].text for other in others for one in first)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--length", type=int, nargs="+", default=[1024])
    options.add_argument("--limit", type=int, default=1)
    options.add_argument("--repeat", type=int, default=1)
    options.add_argument("--modes", default="auto,no-drafts,alone")
    given = options.parse_args()
    torch.set_num_threads(1)
    loaded = ready_model("smollm2-135m", torch.device("cpu"), "float32")
    for phase, (place, name) in PHASES.items():
        setattr(place, name, timed(phase, getattr(place, name)))
    by, n_other = worker.Worker(loaded, {}), 0
    for length in given.length:
        for unit in units(loaded, length, given.limit):
            n_other += repeated(by, unit, given.modes.split(","), given.repeat)
    print(f"answers that differ between the modes: {n_other}")
    return 1 if n_other else 0


if __name__ == "__main__":
    sys.exit(main())
