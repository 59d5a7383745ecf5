"""How much faster is `run --batch N`? N configurations decode one by one and as one batch of ragged caches.

    python tests/benchmarks/batch_vs_alone.py [--configurations N] [--tokens N] [--steps N]

The default model reads one text; every configuration keeps other tokens of it, at shares from 10% to 90%, and generates
`--steps` tokens (no EOS). Exit code 1 if a token differs where the two best logits are not within 1e-3.
"""

import argparse
import sys
import time
from dataclasses import dataclass, field
from itertools import repeat

import torch
from torch import Tensor

from lukv_bench.bench.engine.context import Context
from lukv_bench.bench.engine.decode import decode, greedy
from lukv_bench.bench.engine.evict import evict
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.select import Kept, select, stack
from lukv_bench.scorers.base import Protection

ALLOWED = 1e-3


@dataclass
class Watched:
    """Greedy, with the lead of the best logit over the second at every step, [steps][rows]."""

    leads: list[list[float]] = field(default_factory=list)

    def __call__(self, logits: Tensor, rows: Tensor) -> Tensor:
        best = logits.topk(2, dim=-1).values
        self.leads.append((best[:, 0] - best[:, 1]).tolist())
        return greedy(logits, rows)


def configurations(loaded: LoadedModel, n_tokens: int, n: int) -> list[list[Kept]]:
    """Kept positions at random, the same share in every head of a configuration."""
    made = torch.Generator().manual_seed(0)
    heads = (loaded.shape.n_layers, 1, loaded.shape.n_kv_heads)
    kept = []
    for number in range(n):
        counts = torch.full(heads, n_tokens * (1 + number % 9) // 10)
        scores = torch.rand(*heads, n_tokens, generator=made)
        kept.append(list(map(select, scores, counts, repeat(Protection(4, 1).mask(n_tokens)))))
    return kept


def timed(
    loaded: LoadedModel, context: Context, rows: list[list[Kept]], chunk: list[int], steps: int
) -> tuple[float, list[list[int]], Watched]:
    started, watched = time.perf_counter(), Watched()
    cache = evict(context, [stack(layers) for layers in zip(*rows, strict=True)], len(chunk) + steps)
    decoding = decode(loaded, cache, [chunk] * len(rows), Stop(steps, frozenset()), watched)
    return time.perf_counter() - started, [row.ids for row in decoding.rows], watched


def unexplained(alone: list[int], together: list[int], leads: list[float]) -> bool:
    """Whether the two part where one token was clearly ahead."""
    at = next((i for i, (a, b) in enumerate(zip(alone, together, strict=True)) if a != b), None)
    return at is not None and leads[at] > ALLOWED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configurations", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=830)
    parser.add_argument("--steps", type=int, default=32)
    given = parser.parse_args()
    loaded = ready_model("smollm2-135m", torch.device("cpu"), "float32")
    context = prefill(loaded, [1000 + 37 * i % 40000 for i in range(given.tokens)], {})
    chunk = list(range(2000, 2027))
    rows = configurations(loaded, given.tokens, given.configurations)
    timed(loaded, context, rows[:1], chunk, 2)
    alone_s, alone, leads = 0.0, [], []
    for row in rows:
        seconds, ids, watched = timed(loaded, context, [row], chunk, given.steps)
        alone_s += seconds
        alone += ids
        leads.append([lead for (lead,) in watched.leads])
    batch_s, together, _ = timed(loaded, context, rows, chunk, given.steps)
    same = sum(a == b for a, b in zip(alone, together, strict=True))
    wrong = sum(unexplained(*one) for one in zip(alone, together, leads, strict=True))
    said = f"{given.configurations} configurations x {given.steps} tokens over {given.tokens}"
    print(f"{said}; threads {torch.get_num_threads()}")
    print(f"alone {alone_s:.1f} s, as a batch {batch_s:.1f} s: {alone_s / batch_s:.1f}x")
    print(f"same tokens {same} of {len(rows)}; differences that rounding does not explain {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
