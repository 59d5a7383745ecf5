"""How many bytes of keys, values and masks are alive while configurations decode, over those of the full cache?

    python tests/benchmarks/kv_alive.py [--tokens N] [--question N] [--steps N] [--model NAME]

Every tensor that Python holds is counted, whoever holds it, while the last token is chosen: of those made since the
model was loaded, the ones whose last axis is the head dim (keys, values) and the boolean ones (masks). The full cache
is the context's in float32, without question and answer. Configurations that decode together prune 80% at random.
"""

import argparse
import gc
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat

import torch
from torch import Tensor

from lukv_bench.bench.engine.cache import StoreCache
from lukv_bench.bench.engine.decode import decode, greedy
from lukv_bench.bench.engine.layouts import RAGGED, SHARED, Layout
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.eviction import evict_alone
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.select import Kept, select
from lukv_bench.scorers.base import Protection


def storages(head_dim: int) -> dict[int, int]:
    """Address and bytes of every storage alive that holds keys, values or a mask."""
    tensors = [one for one in gc.get_objects() if issubclass(type(one), Tensor)]
    return {
        one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
        for one in tensors
        if one.device.type != "meta" and (one.dtype == torch.bool or one.shape[-1:] == (head_dim,))
    }


def pruned(loaded: LoadedModel, n_tokens: int, seed: int) -> list[Kept]:
    """A fifth of the tokens at random, another number of them in each KV head."""
    random, heads = torch.Generator().manual_seed(seed), (loaded.shape.n_layers, 1, loaded.shape.n_kv_heads)
    mean = n_tokens // 5
    counts = mean + torch.randint(-mean // 2, mean // 2 + 1, heads, generator=random)
    scores = torch.rand(*heads, n_tokens, generator=random)
    return list(map(select, scores, counts, repeat(Protection(4, 1).mask(n_tokens))))


def alone(loaded: LoadedModel, ids: Sequence[int], n_sequence: int, allocator: str) -> StoreCache:
    """The cache of one cell, evicted while the context is read."""
    (method,) = build_methods([allocator], ["keydiff"], [Budget(ratio=parse_ratio("0.8"))], None, None, baselines=False)
    return evict_alone(loaded, ids, method, 0, n_sequence).cache


def together(loaded: LoadedModel, ids: Sequence[int], n_sequence: int, layout: Layout) -> StoreCache:
    """The cache of 16 configurations that each keep another fifth."""
    context = prefill(loaded, ids, {}, n_sequence=n_sequence)
    kept = [pruned(loaded, len(ids), seed) for seed in range(16)]
    return layout.build(context, kept, n_sequence - len(ids))


def alive_over_full(
    loaded: LoadedModel, ids: Sequence[int], question: Sequence[int], steps: int, build: Callable[..., StoreCache]
) -> float:
    """The most bytes alive in any decode step over the full cache's; `build` gets (model, context, n_sequence)."""
    gc.collect()
    before = storages(loaded.shape.head_dim)
    cache, peak = build(loaded, ids, len(ids) + len(question) + steps), 0

    def measure(logits: Tensor, rows: Tensor) -> Tensor:
        nonlocal peak
        now = storages(loaded.shape.head_dim)
        peak = max(peak, sum(size for address, size in now.items() if address not in before))
        return greedy(logits, rows)

    decode(loaded, cache, [question] * len(cache.n_seen), Stop(steps, frozenset()), measure)
    per_token = 2 * loaded.shape.n_layers * loaded.shape.n_kv_heads * loaded.shape.head_dim * 4
    return peak / (per_token * len(ids))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--question", type=int, default=12)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--model", default="smollm2-135m")
    given = parser.parse_args()
    loaded = ready_model(given.model, torch.device("cpu"), "float32")
    ids = [1000 + 37 * i % 40000 for i in range(given.tokens)]
    question = list(range(2000, 2000 + given.question))
    cases = {
        "one cell alone, 80% pruned": partial(alone, allocator="uniform"),
        "one cell alone, each layer's scores needed": partial(alone, allocator="adakv"),
        "one cell alone, all scores needed": partial(alone, allocator="global"),
        "full alone": partial(alone, allocator="full"),
        "16 together, shared": partial(together, layout=SHARED),
        "16 together, ragged": partial(together, layout=RAGGED),
    }
    print(f"{given.tokens} tokens of context, {given.question} of a question, {given.steps} of an answer")
    for name, build in cases.items():
        ratio = alive_over_full(loaded, ids, question, given.steps, build)
        print(f"{name}: {ratio:.2f} x the full cache")


if __name__ == "__main__":
    main()
