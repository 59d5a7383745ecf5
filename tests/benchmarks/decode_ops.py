"""How many torch operations does one decode step dispatch, in each layout?

    python tests/benchmarks/decode_ops.py [--tokens N]

The default model reads a text; each row keeps random tokens of it, another number in each KV head. Where operations are
small, their number decides the speed of a step.
"""

import argparse
from collections.abc import Callable
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lukv_bench.bench.engine.decode import decode, greedy
from lukv_bench.bench.engine.layouts import RAGGED, SHARED, Layout
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.select import Kept, select
from lukv_bench.scorers.base import Protection


class Counter(TorchDispatchMode):
    """Counts what is dispatched while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.n += 1
        return func(*args, **(kwargs or {}))


def configurations(loaded: LoadedModel, n_tokens: int, n: int) -> list[list[Kept]]:
    """What each of n configurations keeps in each layer."""
    random, heads = torch.Generator().manual_seed(0), (loaded.shape.n_layers, 1, loaded.shape.n_kv_heads)
    protected = Protection(4, 1).mask(n_tokens)
    kept = []
    for _ in range(n):
        counts = torch.randint(5, n_tokens, heads, generator=random)
        scores = torch.rand(*heads, n_tokens, generator=random)
        kept.append(list(map(select, scores, counts, repeat(protected))))
    return kept


def operations_a_step(loaded: LoadedModel, layout: Layout, ids: list[int], question: list[int], n_rows: int) -> int:
    """Operations that the second step of `n_rows` configurations dispatches."""
    context = prefill(loaded, ids, {})
    cache = layout.build(context, configurations(loaded, len(ids), n_rows), room=len(question) + 4)
    counts: list[int] = []
    with Counter() as counter:

        def choose_token(logits: Tensor, rows: Tensor) -> Tensor:
            counts.append(counter.n)
            return greedy(logits, rows)

        decode(loaded, cache, [question] * n_rows, Stop(4, frozenset()), choose_token)
    return counts[2] - counts[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=200)
    n_tokens = parser.parse_args().tokens
    loaded = ready_model("smollm2-135m", torch.device("cpu"), "float32")
    ids, question = [1000 + 37 * i % 40000 for i in range(n_tokens)], list(range(2000, 2008))
    for n_rows in (1, 4, 16):
        for layout in (RAGGED, SHARED):
            n = operations_a_step(loaded, layout, ids, question, n_rows)
            print(f"{n_rows:>2} rows, {layout.name}: {n:,} operations a step")


if __name__ == "__main__":
    main()
