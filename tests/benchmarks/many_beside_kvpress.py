"""48 configurations of a sample by the worker of a run and by kvpress 0.5.5: CPU seconds, and are the answers equal?

    python tests/benchmarks/many_beside_kvpress.py --kvpress-python PATH [--length N] [--limit N]

PATH is the Python of kvpress's environment (tests/golden/make_kvpress.py says how to make it). The default model, one
thread, greedy, {keydiff, knorm} x {uniform, adakv} x 12 ratios on a needle task, with as many tokens a head as kvpress
keeps and no protection. Where an answer differs and kvpress masks, the slots are compared and ours is computed over
those that kvpress keeps: among equal scores we keep the earliest, kvpress any. Exit code 1 where an answer differs for
any other reason.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kvpress_kept import over_their_slots
from many_configurations import MODES, NEW_TOKENS, RATIOS, units

from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.methods.budget import Budget
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.run.unit import Unit, UnitConfiguration
from lukv_bench.bench.run.worker import Worker

CONFIGS = [(a, s, r) for a in ("uniform", "adakv") for s in ("keydiff", "knorm") for r in RATIOS]


def as_kvpress_keeps(unit: Unit) -> Unit:
    """The unit with the configurations above, and as many tokens a head: a product of floats, cut."""
    chosen = []
    for allocator, scorer, ratio in CONFIGS:
        budget = Budget(keep_tokens=int(len(unit.context) * (1 - float(ratio))))
        (method,) = build_methods([allocator], [scorer], [budget], 0, 0, baselines=False)
        chosen.append(UnitConfiguration(f"{allocator}/{scorer}/{ratio}", method))
    return replace(unit, configurations=tuple(chosen))


def kvpress_answers(python: str, loaded: LoadedModel, samples: list[Unit]) -> tuple[Any, dict[str, np.ndarray]]:
    """kvpress's answers [samples][configurations] with its CPU seconds without loading the model, and the slots that
    it masks by "sample/configuration"."""
    job = {
        "model": str(loaded.path),
        "samples": [{"context": list(unit.context), "question": list(unit.question)} for unit in samples],
        "configs": [{"allocator": a, "scorer": s, "ratio": float(r)} for a, s, r in CONFIGS],
        "new_tokens": NEW_TOKENS,
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "job.json").write_text(json.dumps(job))
        subprocess.run([python, str(Path(__file__).with_name("kvpress_side.py")), folder], check=True)
        return json.loads((Path(folder) / "theirs.json").read_text()), dict(np.load(Path(folder) / "masks.npz"))


def at_ties(loaded: LoadedModel, unit: Unit, place: int, other: str, masked: np.ndarray | None) -> bool:
    """Print why an answer differs; whether it is because kvpress keeps other slots of equal scores."""
    if masked is None:
        print("  kvpress masks nothing here")
        return False
    apart, tied, text = over_their_slots(loaded, unit, unit.configurations[place], masked)
    same = text.strip() == other.strip()
    print(
        f"  slots apart: {apart}, at equal scores {tied}; ours over kvpress's slots: {'equal' if same else repr(text)}"
    )
    return same and apart == tied > 0


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kvpress-python", required=True)
    options.add_argument("--length", type=int, default=1024)
    options.add_argument("--limit", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(1)
    loaded = ready_model("smollm2-135m", torch.device("cpu"), "float32")
    samples = [as_kvpress_keeps(unit) for unit in units(loaded, given.length, given.limit)]
    worker, mine, began = Worker(loaded, {}), [], time.process_time()
    for unit in samples:
        answers = {one.configuration_id: one.text for one in worker.answers(unit, MODES["auto"], lambda step: None)}
        mine.append([answers[one.id] for one in unit.configurations])
    ours_s = time.process_time() - began
    theirs, masked = kvpress_answers(given.kvpress_python, loaded, samples)
    pairs = [pair for both in zip(mine, theirs["answers"], strict=True) for pair in zip(*both, strict=True)]
    same = tied = 0
    for number, (ours, other) in enumerate(pairs):
        sample, place = divmod(number, len(CONFIGS))
        if ours.strip() == other.strip():
            same += 1
            continue
        print(f"sample {sample + 1}, {'/'.join(map(str, CONFIGS[place]))}: ours {ours!r}, kvpress {other!r}")
        tied += at_ties(loaded, samples[sample], place, other, masked.get(f"{sample}/{place}"))
    print(f"{[len(unit.context) for unit in samples]} context tokens, {len(CONFIGS)} configurations")
    print(
        f"answers equal: {same} of {len(pairs)}, {len({ours for ours, _ in pairs})} of them different; at ties: {tied}"
    )
    print(f"CPU s: ours {ours_s:.1f}, kvpress {theirs['cpu_s']:.1f}: {theirs['cpu_s'] / ours_s:.1f} x")
    return 0 if same + tied == len(pairs) else 1


if __name__ == "__main__":
    sys.exit(main())
