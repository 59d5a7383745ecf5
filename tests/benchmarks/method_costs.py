"""What does a method cost beside the prefill of the context that it evicts?

    python tests/benchmarks/method_costs.py [--length N] [--ratio R] [--repeats N] ["ALLOCATOR SCORER" ...]

The default model, one thread. Each method evicts one context on its own, as `run --cost` and lm-eval's client do; a
repeat measures all methods once, in an order of its own. Shares are the medians over the repeats of scoring (a replay
included), allocating, selecting and compacting over that pass's own prefill. Without methods: every built-in scorer
under uniform budgets, and the other allocators over a scorer each.
"""

import argparse
import random
from collections import defaultdict
from statistics import median

import torch
from task_prompts import prompts

from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.eviction import evict_alone
from lukv_bench.bench.methods.method import Method, build_methods
from lukv_bench.bench.methods.profiles import MethodProfiles
from lukv_bench.bench.plugins.registry import describe_all

STEPS = ("score_s", "allocate_s", "select_s", "compact_s")
OVER_OTHERS = (
    *("pyramidkv keydiff", "adakv keydiff", "lukv keydiff", "headkv keydiff", "duoattention keydiff"),
    *("global keydiff", "cake cake", "zigzagkv snapkv", "entrokv snapkv", "global calibrated_utility"),
)


def scorers() -> list[str]:
    """The built-in ones that are no oracles, critical around one of them."""
    names = [one.name for one in describe_all("scorer") if one.distribution == "lukv-bench"]
    return ["critical:of=snapkv" if name == "critical" else name for name in names if name != "oracle"]


def methods(pairs: list[str], budget: Budget) -> list[Method]:
    """ "ALLOCATOR SCORER" as methods at a budget."""
    named = [pair.split() for pair in pairs] or [["uniform", name] for name in scorers()] + [
        pair.split() for pair in OVER_OTHERS
    ]
    return [
        method
        for allocator, scorer in named
        for method in build_methods([allocator], [scorer], [budget], None, None, baselines=False)
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("pairs", nargs="*", metavar="ALLOCATOR SCORER")
    options.add_argument("--length", type=int, default=2048)
    options.add_argument("--ratio", default="0.8")
    options.add_argument("--repeats", type=int, default=5)
    given = options.parse_args()
    torch.set_num_threads(1)
    loaded = ready_model("smollm2-135m", torch.device("cpu"), "float32")
    profiles = MethodProfiles(loaded, lambda doing, done, total: print(doing, f"{done}/{total}", flush=True))
    bound = [
        one.with_profiles(profiles.obtain(one)) for one in methods(given.pairs, Budget(ratio=parse_ratio(given.ratio)))
    ]
    ((prompt, _),) = prompts(loaded, "niah_single_2", given.length, 1)
    shares: dict[str, list[list[float]]] = defaultdict(list)
    prefills = []
    for repeat in range(given.repeats):
        for method in random.Random(repeat).sample(bound, len(bound)):
            evicted = evict_alone(loaded, prompt.context, method, 0, prompt.n_tokens)
            prefill_s = evicted.full.prefill_s
            prefills.append(prefill_s)
            shares[f"{method.allocator.label} x {method.scorer.label}"].append(
                [getattr(evicted.steps, step) / prefill_s for step in STEPS]
            )
    print(f"{len(prompt.context)} tokens, prune {given.ratio}; prefill {median(prefills):.2f} s (one thread)\n")
    print("| method | scoring | allocating | selecting | compacting | all |\n|---|---|---|---|---|---|")
    for name, found in sorted(shares.items(), key=lambda each: median(map(sum, each[1]))):
        steps = [median(column) for column in zip(*found, strict=True)]
        print(f"| {name} | " + " | ".join(f"{100 * share:.2f}%" for share in (*steps, median(map(sum, found)))) + " |")


if __name__ == "__main__":
    main()
