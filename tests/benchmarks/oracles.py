"""Do floors, methods and oracles stand in that order, and which rows make the better oracle?

    python tests/benchmarks/oracles.py [--task niah_multikey_1] [--length 1024] [--limit 6] [--ratio 0.9]

The default model, one thread. Every configuration answers the same samples; beside the score stands the mean negative
log-likelihood of the reference answer, in nats, which tells apart what scores alike. Oracles are measured twice: by the
rows that predict the reference's tokens ("answer rows"), and by all rows of the question too ("question rows"), as runs
have it.
"""

import argparse
from collections.abc import Iterator
from functools import partial

import torch

from lukv_bench.bench.calibration.steps import Report
from lukv_bench.bench.engine.cache import StoreCache
from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.drafts import Drafts
from lukv_bench.bench.engine.evict import keep_everything
from lukv_bench.bench.engine.fidelity import reference_nlls
from lukv_bench.bench.engine.future import read_future
from lukv_bench.bench.engine.importance import SeenLayers
from lukv_bench.bench.engine.layouts import RAGGED
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.methods.added import Added
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.eviction import read_context, select_kept
from lukv_bench.bench.methods.method import Method, build_methods
from lukv_bench.bench.methods.profiles import with_own_profiles
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.samples.opening import open_samples
from lukv_bench.bench.samples.sample_set import Fitting, Sample
from lukv_bench.bench.samples.source import SampleSource
from lukv_bench.tasks.catalog import task_info
from lukv_bench.tasks.copying import copied

ROWS = {"answer rows": False, "question rows": True}


def silent(_doing: str, _done: int, _total: int) -> None:
    """Show no progress."""


def methods_of(loaded: LoadedModel, ratio: str, report: Report) -> list[Method]:
    """LU-KV and AdaKV, their floors and their ceilings."""
    budgets = [Budget(ratio=parse_ratio(ratio))]
    made = build_methods(
        ["uniform", "adakv", "lukv"], ["keydiff"], budgets, None, None, False, added=Added(floors=True, oracles=True)
    )
    return [with_own_profiles(method, loaded, report) for method in made]


def caches_of(loaded: LoadedModel, sample: Sample, methods: list[Method]) -> Iterator[tuple[str, StoreCache]]:
    """The cache of each configuration, by its name."""
    seen = SeenLayers()
    context = read_context(loaded, sample.context, methods, 0, sample.n_sequence, seen=seen)
    build = partial(RAGGED.build, context, room=sample.n_sequence - len(sample.context))
    yield "full", build([keep_everything(context)])
    for rows, whole_question in ROWS.items():
        future = read_future(loaded, context, seen, sample.question, sample.reference, 0, whole_question=whole_question)
        for method in methods:
            if method.is_oracle or rows == "answer rows":
                kept = select_kept(loaded, method, context, 0, future=future if method.is_oracle else None).kept
                yield method.label + (f", {rows}" if method.is_oracle else ""), build([kept])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--task", default="niah_multikey_1")
    options.add_argument("--length", type=int, default=1024)
    options.add_argument("--limit", type=int, default=6)
    options.add_argument("--ratio", default="0.9")
    given = options.parse_args()
    torch.set_num_threads(1)
    loaded = ready_model("smollm2-135m", torch.device("cpu"), "float32")
    methods = methods_of(loaded, given.ratio, silent)
    source = SampleSource(given.limit)
    samples = open_samples(source, task_info(given.task), given.length, 0, loaded, "agnostic", Fitting())
    found: dict[str, list[tuple[bool, float]]] = {}
    for ordinal in range(len(samples)):
        sample = samples.sample(ordinal)
        drafts = Drafts((*sample.context, *sample.question, *sample.reference))
        for name, cache in caches_of(loaded, sample, methods):
            (nll,) = reference_nlls(loaded, cache, sample.question, sample.reference)
            cache.take_all_back()
            text = decode(loaded, cache, [sample.question], sample.stop, drafts=drafts).rows[0].text
            is_right = copied(text, sample.rendered.document["outputs"]).outcome == "found"
            found.setdefault(name, []).append((is_right, float("nan") if nll is None else nll))
        print(f"sample {ordinal + 1}/{len(samples)}", flush=True)
    print(f"{given.task}, {given.length} tokens, {given.ratio} pruned, {len(samples)} samples")
    for name, each in sorted(found.items(), key=lambda item: sum(nll for _, nll in item[1])):
        score = 100 * sum(is_right for is_right, _ in each) / len(each)
        print(f"  {name:48} score {score:5.1f}   NLL {sum(nll for _, nll in each) / len(each):.3f}")


if __name__ == "__main__":
    main()
