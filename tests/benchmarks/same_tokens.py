"""Are answers the same whether configurations decode alone, as a batch, or from each other's drafts?

    python tests/benchmarks/same_tokens.py [--dtype float32 ...] [--length N] [--limit N] [--ratios R ...]

The default model on a needle task: the full cache and every installed allocator with keydiff. Alone, a configuration
decodes token by token over its own ragged cache. Every other way that ends in other tokens is listed, with the lead of
the best logit over the second where the two part. Exit code 1 if that is more than 1e-3 in float32; in half precision,
where a product rounds differently with the number of its rows, they are counted.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.metadata import entry_points

import torch
from task_prompts import prompts
from torch import Tensor

from lukv_bench.bench.engine.context import Context
from lukv_bench.bench.engine.decode import decode, greedy
from lukv_bench.bench.engine.drafts import Drafts
from lukv_bench.bench.engine.layouts import RAGGED, SHARED, Layout
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget
from lukv_bench.bench.methods.eviction import read_context, select_kept
from lukv_bench.bench.methods.method import Method, build_methods
from lukv_bench.bench.methods.profiles import MethodProfiles
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.select import Kept

ALLOWED = 1e-3
NEW_TOKENS = 32


@dataclass
class Alone:
    """A configuration's answer, token by token, with the lead of the best logit over the second before each token."""

    ids: list[int] = field(default_factory=list)
    leads: list[float] = field(default_factory=list)

    def choose(self, logits: Tensor, rows: Tensor) -> Tensor:
        best = logits.topk(2, dim=-1).values[0]
        self.leads.append(float(best[0] - best[1]))
        return greedy(logits, rows)

    def lead_at_parting(self, ids: Sequence[int]) -> float | None:
        """The lead where another answer parts from this one; None if it does not."""
        if list(ids) == self.ids:
            return None
        pairs = zip(self.ids, ids, strict=False)
        return self.leads[next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(ids), len(self.ids)))]


@dataclass(frozen=True)
class Parting:
    """An answer that is another one than alone."""

    way: str
    configuration: str
    lead: float


def every_method(ratios: Sequence[str]) -> list[Method]:
    """The full cache and every installed allocator at every ratio, without their profiles."""
    names = {entry.name for entry in entry_points(group="lukv_bench.allocators")} - {"shuffled", "oracle"}
    budgets = [Budget(ratio=Decimal(ratio)) for ratio in ratios]
    return list(build_methods([*sorted(names), "shuffled:of=lukv"], ["keydiff"], budgets, None, None, baselines=False))


def partings(
    loaded: LoadedModel, ids: Sequence[int], question: Sequence[int], methods: Sequence[Method], stop: Stop
) -> tuple[list[Parting], list[Alone]]:
    """The answers that are others than alone, and those alone."""
    room = len(question) + stop.max_new_tokens
    context = read_context(loaded, ids, methods, 0, len(ids) + room)
    kept = [select_kept(loaded, method, context, 0).kept for method in methods]
    alone = [Alone() for _ in methods]
    for one, layers in zip(alone, kept, strict=True):
        cache = RAGGED.build(context, [layers], room)
        one.ids = decode(loaded, cache, [question], stop, one.choose).rows[0].ids
    found = []
    for layout in (RAGGED, SHARED):
        for way, drafts in (("together", None), ("drafted", _answers(alone))):
            rows = _decoded(loaded, context, kept, layout, question, stop, drafts)
            for method, one, row in zip(methods, alone, rows, strict=True):
                if (lead := one.lead_at_parting(row)) is not None:
                    found.append(Parting(f"{way}, {layout.name}", method.label, lead))
    return found, alone


def _answers(alone: Sequence[Alone]) -> Drafts:
    """The answers as drafts, without every second: some rows part from all that is drafted."""
    drafts = Drafts()
    for one in alone[::2]:
        drafts.add(one.ids)
    return drafts


def _decoded(
    loaded: LoadedModel,
    context: Context,
    kept: Sequence[Sequence[Kept]],
    layout: Layout,
    question: Sequence[int],
    stop: Stop,
    drafts: Drafts | None,
) -> list[list[int]]:
    cache = layout.build(context, kept, len(question) + stop.max_new_tokens)
    return [row.ids for row in decode(loaded, cache, [question] * len(kept), stop, drafts=drafts).rows]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--dtype", nargs="+", default=["float32"])
    options.add_argument("--length", type=int, default=1024)
    options.add_argument("--limit", type=int, default=1)
    options.add_argument("--ratios", nargs="+", default=["0.5", "0.8", "0.9"])
    given, wrong = options.parse_args(), 0
    torch.set_num_threads(1)
    for dtype in given.dtype:
        loaded = ready_model("smollm2-135m", torch.device("cpu"), dtype)
        profiles = MethodProfiles(loaded, print, make=False)
        methods = [method.with_profiles(profiles.obtain(method)) for method in every_method(given.ratios)]
        found: list[Parting] = []
        for prompt, _ in prompts(loaded, "niah_single_1", given.length, given.limit):
            stop = Stop(NEW_TOKENS, loaded.eos)
            found += partings(loaded, prompt.context, prompt.question, methods, stop)[0]
        n = 4 * len(methods) * given.limit
        print(f"{dtype}: {n - len(found)} of {n} answers the same as alone; {len(methods)} configurations, 4 ways")
        for one in found:
            print(f"  {one.way}: {one.configuration} parts where the two best logits are {one.lead:.1e} apart")
        wrong += dtype == "float32" and any(one.lead > ALLOWED for one in found)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
