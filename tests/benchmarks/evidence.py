"""Is an answer whose evidence is wholly evicted right more often than by chance, and what does the count cost?

    python tests/benchmarks/evidence.py [--tasks niah_single_1,vt] [--length N] [--limit N] [--kept R]

The default model, one thread. Every sample is answered over four caches that are alike in all heads: the full one, all
but the evidence, and a share of the tokens drawn at random with all of the evidence and with none. Found, miscopied
and missed are those of a run. Chance is how often the same answers hold the reference of another sample. The cost is
that of `kept_evidence`, of finding the evidence's tokens and of comparing the text, beside prefill and decoding.
"""

import argparse
from collections import Counter
from itertools import pairwise
from time import perf_counter

import torch

from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.layouts import RAGGED
from lukv_bench.bench.engine.prompt import Prompt
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.methods.eviction import read_context
from lukv_bench.bench.methods.kept_evidence import kept_evidence
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.samples.evidence import evidence_tokens
from lukv_bench.bench.samples.opening import open_samples
from lukv_bench.bench.samples.sample_set import Fitting, Sample, SampleSet
from lukv_bench.bench.samples.source import SampleSource
from lukv_bench.kernels.select import Kept
from lukv_bench.tasks.catalog import task_info
from lukv_bench.tasks.copying import copied, copied_of

CACHES = ("full", "all but the evidence", "some, with all of it", "some, with none of it")


def kept_sets(sample: Sample, loaded: LoadedModel, share: float, seed: int) -> dict[str, list[Kept]]:
    """What each of CACHES keeps, in every layer and head alike."""
    n_tokens = len(sample.context)
    evidence = torch.zeros(n_tokens, dtype=torch.bool)
    for start, end in sample.evidence:
        evidence[start:end] = True
    some = torch.rand(n_tokens, generator=torch.Generator().manual_seed(seed)) < share
    some[:4] = some[-8:] = True
    masks = (torch.ones_like(some), ~evidence, some | evidence, some & ~evidence)
    shape = (1, loaded.shape.n_kv_heads, n_tokens)
    layers = [[Kept.of_mask(mask.expand(shape).clone())] * loaded.shape.n_layers for mask in masks]
    return dict(zip(CACHES, layers, strict=True))


def texts_of(loaded: LoadedModel, sample: Sample, share: float, seconds: Counter[str]) -> dict[str, str]:
    """The answer over each cache."""
    started = perf_counter()
    context = read_context(loaded, sample.context, [], 0, sample.n_sequence)
    texts = {}
    for name, kept in kept_sets(sample, loaded, share, sample.rendered.ordinal).items():
        cache = RAGGED.build(context, [kept], sample.n_sequence - len(sample.context))
        texts[name] = decode(loaded, cache, [sample.question], sample.stop).rows[0].text
        seconds["prefill and decoding"] += perf_counter() - started
        started = perf_counter()
        kept_evidence(kept, sample.evidence)
        copied_of(sample.rendered.document, texts[name])
        seconds["shares and outcomes"] += perf_counter() - started
        started = perf_counter()
    return texts


def measure(loaded: LoadedModel, samples: SampleSet, share: float) -> None:
    """Print what became of the answers of a task."""
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in CACHES}
    answers: dict[str, list[str]] = {name: [] for name in CACHES}
    references, seconds = [], Counter[str]()
    for ordinal in range(len(samples)):
        sample = samples.sample(ordinal)
        document = sample.rendered.document
        started = perf_counter()
        prompt = Prompt(sample.context, sample.question)
        evidence_tokens(loaded.tokenizer, sample.rendered, samples.task.info.chat, prompt)
        seconds["finding the tokens"] += perf_counter() - started
        references.append(document["outputs"])
        for name, text in texts_of(loaded, sample, share, seconds).items():
            answers[name].append(text)
            outcomes[name][copied(text, document["outputs"]).outcome] += 1
    others = [b for _, b in pairwise([*references, references[0]])]
    print(f"{samples.task.info.name}, {samples.task.length} tokens, {len(references)} samples")
    for name in CACHES:
        chance = sum(copied(text, other).outcome == "found" for text, other in zip(answers[name], others, strict=True))
        counts = ", ".join(f"{outcome} {outcomes[name][outcome]}" for outcome in ("found", "miscopied", "missed"))
        print(f"  {name}: {counts}; the reference of another sample: found {chance}")
    total = sum(seconds.values())
    print("  " + ", ".join(f"{name} {s:.3f} s ({100 * s / total:.3f}%)" for name, s in seconds.items()))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tasks", default="niah_single_1,vt")
    options.add_argument("--length", type=int, default=640)
    options.add_argument("--limit", type=int, default=12)
    options.add_argument("--kept", type=float, default=0.5)
    given = options.parse_args()
    torch.set_num_threads(1)
    loaded = ready_model("smollm2-135m", torch.device("cpu"), "float32")
    for name in given.tasks.split(","):
        source = SampleSource(given.limit)
        measure(
            loaded,
            open_samples(source, task_info(name), given.length, 0, loaded, "agnostic", Fitting()),
            given.kept,
        )


if __name__ == "__main__":
    main()
