"""Does kvpress 0.5.5's own pipeline give the answers that we give? The default model, greedy, question-agnostic.

    python tests/benchmarks/kvpress_answers.py --kvpress-python PATH [--limit 4] [--length 512] [--new-tokens 16]

PATH is the Python of kvpress's environment (tests/golden/make_kvpress.py says how to make it). 12 configurations,
{keydiff, knorm} x {uniform, adakv} x {0.5, 0.8, 0.9}, with kvpress's counts and no protection; then lukv with the
shipped profile of keydiff, exported for each context's length: what LUKVPress masks against what we evict, and answers.
Exit code 1 where an answer differs, a slot of LU-KV, or a slot of AdaKV that is at no tie (equal tokens have keys of
equal norm in the first layer).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kvpress_kept import differing_slots
from task_prompts import prompts

from lukv_bench.allocators.lukv_export import kvpress_ratios
from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.evict import evict
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.prompt import Prompt
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget
from lukv_bench.bench.methods.method import Method, build_methods
from lukv_bench.bench.methods.policy import Policy
from lukv_bench.bench.methods.profiles import MethodProfiles
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.scorers.base import Profile, Protection

RATIOS = ("0.5", "0.8", "0.9")
PAIRS = [(allocator, scorer) for allocator in ("uniform", "adakv") for scorer in ("keydiff", "knorm")]
CONFIGS = [(*pair, ratio) for pair in PAIRS for ratio in RATIOS] + [("lukv", "keydiff", ratio) for ratio in RATIOS]
LUKV = Protection(sink=4, window=1)


def method(config: tuple[str, str, str], n_tokens: int) -> Method:
    """Ours, with as many tokens a head as kvpress keeps: a product of floats, cut."""
    allocator, scorer, ratio = config
    kept = Budget(keep_tokens=int(n_tokens * (1 - float(ratio))))
    budget = Budget(ratio=Decimal(ratio)) if allocator == "lukv" else kept
    guard = LUKV if allocator == "lukv" else Protection(0, 0)
    (made,) = build_methods([allocator], [scorer], [budget], guard.sink, guard.window, baselines=False)
    return made


@dataclass(frozen=True)
class Ours:
    """One sample: for every configuration the answer, what is evicted bool [L, H, T] and the scores [L, H, T]."""

    answers: list[str]
    evicted: list[np.ndarray]
    scores: list[np.ndarray]


def ours(loaded: LoadedModel, prompt: Prompt, profile: Profile, new_tokens: int) -> Ours:
    """Every configuration from one prefill."""
    n_tokens = len(prompt.context)
    methods = [method(config, n_tokens) for config in CONFIGS]
    context = prefill(loaded, prompt.context, {m.table: m.scorer.instance for m in methods if m.scorer is not None})
    done = Ours([], [], [])
    for unbound in methods:
        m = unbound.with_profiles(dict.fromkeys(unbound.owners(), profile))
        scores = context.table(m.table)
        kept = Policy(loaded, m, n_tokens, seed=0).decide_all(scores)
        cache = evict(context, kept, len(prompt.question) + new_tokens)
        done.answers.append(decode(loaded, cache, [prompt.question], Stop(new_tokens, loaded.eos)).rows[0].text)
        done.evicted.append(~torch.stack([layer.mask[0] for layer in kept]).numpy())
        done.scores.append(scores[:, 0].numpy())
    return done


def theirs(folder: Path, python: str, loaded: LoadedModel, samples: Sequence[Prompt], new_tokens: int) -> Any:
    """What kvpress's side wrote."""
    configs = [{"allocator": a, "scorer": s, "ratio": float(r)} for a, s, r in CONFIGS]
    told = [{"context": list(sample.context), "question": list(sample.question)} for sample in samples]
    job = {"model": str(loaded.path), "samples": told, "configs": configs, "new_tokens": new_tokens}
    (folder / "job.json").write_text(json.dumps(job))
    subprocess.run([python, str(Path(__file__).with_name("kvpress_side.py")), str(folder)], check=True)
    return json.loads((folder / "theirs.json").read_text()), np.load(folder / "masks.npz")


def _compared(masked: np.ndarray, mine: Sequence[Ours], key: str) -> tuple[int, int]:
    sample, which = map(int, key.split("/"))
    return differing_slots(masked, mine[sample].evicted[which], mine[sample].scores[which])


def main() -> int:
    """Compare and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kvpress-python", required=True)
    options.add_argument("--limit", type=int, default=4)
    options.add_argument("--length", type=int, default=512)
    options.add_argument("--new-tokens", type=int, default=16)
    asked = options.parse_args()
    torch.set_num_threads(1)
    loaded = ready_model("smollm2-135m", torch.device("cpu"), "float32")
    lukv = method(("lukv", "keydiff", "0.8"), 1000)
    assert lukv.scorer is not None
    profile = MethodProfiles(loaded, lambda *_: None).obtain(lukv)["allocator"]
    samples = [prompt for prompt, _ in prompts(loaded, "niah_multikey_1", asked.length, asked.limit)]
    began = time.process_time()
    mine = [ours(loaded, sample, profile, asked.new_tokens) for sample in samples]
    ours_s = time.process_time() - began
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for number, sample in enumerate(samples):
            np.save(folder / f"curve-{number}.npy", kvpress_ratios(profile, len(sample.context), LUKV))
        said, masked = theirs(folder, asked.kvpress_python, loaded, samples, asked.new_tokens)
        slots = {key: _compared(masked[key], mine, key) for key in masked.files}
    print(f"{len(samples)} samples of {[len(sample.context) for sample in samples]} context tokens")
    wrong = 0
    for which, (allocator, scorer, ratio) in enumerate(CONFIGS):
        pairs = zip(mine, said["answers"], strict=True)
        same = sum(sample.answers[which].strip() == row[which].strip() for sample, row in pairs)
        found = [counts for key, counts in slots.items() if int(key.split("/")[1]) == which]
        apart, tied = (sum(part) for part in zip(*found, strict=True)) if found else (0, 0)
        wrong += same < len(samples) or apart > tied or (allocator == "lukv" and apart > 0)
        told = f", masked slots that differ {apart}, at ties {tied}" if found else ""
        print(f"{allocator:8} {scorer:8} {ratio}: answers equal {same}/{len(samples)}{told}")
    distinct = [len(set(sample.answers)) for sample in mine]
    print(f"different answers to each sample over the {len(CONFIGS)} configurations: {distinct}")
    print(f"CPU seconds: ours {ours_s:.1f}, kvpress {said['cpu_s']:.1f}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
