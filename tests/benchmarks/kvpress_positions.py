"""How many heads keep other positions than kvpress 0.5.5 does, over all golden files, as a Markdown table.

    python tests/benchmarks/kvpress_positions.py

Every difference is proven to be a tie, as in tests/bench/test_kvpress_equality.py, or this fails.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lukv_bench.bench.engine.ready import ready_model

TESTS = Path(__file__).resolve().parents[1]


def the_test() -> Any:
    """The test's module: its replay of the goldens is this one's."""
    spec = importlib.util.spec_from_file_location("equality", TESTS / "bench" / "test_kvpress_equality.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["equality"] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Print a row a model."""
    torch.set_num_threads(1)
    test = the_test()
    real = ready_model("smollm2-135m", torch.device("cpu"), "float32")
    replays = {name: test.tiny_replay(name) for name in test.TINY}
    replays["smollm2-135m"] = test.Replay(np.load(test.GOLDEN / "kvpress-smollm2-135m.npz"), real)
    print("| model | cases | heads | slots kept | heads that differ, all at ties | where |\n|---|---|---|---|---|---|")
    for name, replay in replays.items():
        tied = {case: test.assert_kept_alike(replay, case) for case in test.CASES}
        masks = [replay.theirs(n, case, ratio) for case in test.CASES for n, ratio in replay.budgets(case)]
        heads, slots = sum(mask[..., 0].size for mask in masks), sum(int(mask.sum()) for mask in masks)
        where = ", ".join(f"{case.replace('/', ' x ')}: {n}" for case, n in tied.items() if n)
        print(f"| {name} | {len(masks)} | {heads} | {slots} | {sum(tied.values())} | {where} |")


if __name__ == "__main__":
    main()
