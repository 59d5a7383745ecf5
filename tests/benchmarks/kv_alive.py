"""How many bytes of keys, values and masks are alive while configurations decode, over those of the full cache?

    python tests/benchmarks/kv_alive.py [--tokens N] [--question N] [--steps N] [--model NAME]

Every tensor that Python holds is counted, whoever holds it, while the last token is chosen: of those made since the
model was loaded, the ones whose last axis is the head dim (keys, values) and the boolean ones (masks). The full cache
is the context's, without question and answer. Each configuration prunes 80% at random, but for the full one.
"""

import argparse
import gc
from collections.abc import Sequence

import torch
from torch import Tensor

from lukv_bench.bench.engine.decode import decode, greedy
from lukv_bench.bench.engine.evict import choose, keep_everything
from lukv_bench.bench.engine.layouts import RAGGED, SHARED, Layout
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.select import Kept
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
    return choose(counts, torch.rand(*heads, n_tokens, generator=random), Protection(4, 1).mask(n_tokens))


def alive_over_full(
    loaded: LoadedModel,
    layout: Layout,
    ids: Sequence[int],
    question: Sequence[int],
    seeds: Sequence[int | None],
    steps: int,
) -> float:
    """Bytes alive over the full cache's, for configurations by their seeds; None is the full cache."""
    before = storages(loaded.shape.head_dim)
    context = prefill(loaded, ids, {}, n_sequence=len(ids) + len(question) + steps)
    n_bytes = context.kv_bytes
    kept = [keep_everything(context) if seed is None else pruned(loaded, len(ids), seed) for seed in seeds]
    cache = layout.build(context, kept, len(question) + steps)
    del context, kept
    peak = 0

    def measure(logits: Tensor) -> Tensor:
        nonlocal peak
        now = storages(loaded.shape.head_dim)
        peak = max(peak, sum(size for address, size in now.items() if address not in before))
        return greedy(logits)

    decode(loaded, cache, [question] * len(seeds), Stop(steps, frozenset()), measure)
    return peak / n_bytes


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
    cases: dict[str, tuple[Layout, list[int | None]]] = {
        "one cell alone, 80% pruned": (RAGGED, [0]),
        "full alone": (RAGGED, [None]),
        "16 together, shared": (SHARED, list(range(16))),
        "16 together, ragged": (RAGGED, list(range(16))),
    }
    print(f"{given.tokens} tokens of context, {given.question} of a question, {given.steps} of an answer")
    for name, (layout, seeds) in cases.items():
        print(f"{name}: {alive_over_full(loaded, layout, ids, question, seeds, given.steps):.2f} x the full cache")


if __name__ == "__main__":
    main()
