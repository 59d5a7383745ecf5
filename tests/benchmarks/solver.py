"""Times LU-KV's solver against the heap it replaces, on heavy-tailed losses. Prints a small table.

python tests/benchmarks/solver.py                 # 640 heads x 8192 tokens; a minute or two for the heap
python tests/benchmarks/solver.py --tokens 2048
"""

import argparse
import heapq
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != _ROOT]

from lukv_bench.allocators.lukv_hull import Plateaus, relax  # noqa: E402 - the root must not be on sys.path
from lukv_bench.allocators.lukv_solver import greedy_evictions  # noqa: E402

T = TypeVar("T")


def losses(n_heads: int, n_tokens: int, seed: int) -> NDArray[np.float32]:
    """Importance [heads, E] in eviction order: heavy tails, unlike heads, a scorer that knows some of it."""
    rng = np.random.default_rng(seed)
    table = np.empty((n_heads, n_tokens), dtype=np.float32)
    for head in table:
        importance = rng.pareto(rng.uniform(0.6, 3.0), n_tokens) * rng.lognormal(sigma=1.5)
        seen = np.log(importance + 1e-12) + rng.normal(scale=2.0, size=n_tokens)
        head[:] = importance[np.argsort(seen, kind="stable")]
    return table


def by_heap(marginals: NDArray[np.float64], targets: Sequence[int]) -> NDArray[np.int64]:
    """A heap of (loss, head), one token at a time."""
    rows = [head.tolist() for head in marginals]
    n_tokens = marginals.shape[1]
    heap = [(row[0], index) for index, row in enumerate(rows)]
    heapq.heapify(heap)
    evicted, done = [0] * len(rows), 0
    out = np.empty((len(targets), len(rows)), dtype=np.int64)
    for i, target in enumerate(targets):
        progress(f"heap: target {i + 1} of {len(targets)}")
        for _ in range(target - done):
            _, index = heap[0]
            evicted[index] += 1
            if evicted[index] < n_tokens:
                heapq.heapreplace(heap, (rows[index][evicted[index]], index))
            else:
                heapq.heappop(heap)
        done = target
        out[i] = evicted
    return out


def spread(plateaus: Plateaus, n_heads: int) -> NDArray[np.float64]:
    """The relaxed losses [heads, E], token by token."""
    return np.repeat(plateaus.values, plateaus.lengths).reshape(n_heads, -1)


def timed(label: str, repeats: int, work: Callable[[], T]) -> tuple[float, T]:
    """Best wall seconds of some repeats, and the last result."""
    best, result = float("inf"), None
    for repeat in range(repeats):
        progress(f"{label}: {repeat + 1} of {repeats}")
        started = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - started)
    assert result is not None
    return best, result


def progress(message: str) -> None:
    """One line on stderr, overwritten by the next."""
    print(f"\r{message:<60}", end="", file=sys.stderr, flush=True)


def measure(n_heads: int, n_tokens: int, n_targets: int, repeats: int, seed: int, heap: bool) -> tuple[list[str], bool]:
    """The cells of one table row, and whether the counts are equal where both solvers ran."""
    progress(f"making {n_heads} x {n_tokens} losses")
    table = losses(n_heads, n_tokens, seed)
    targets = [round(table.size * target / (n_targets + 1)) for target in range(1, n_targets + 1)]
    hull_s, plateaus = timed(f"hull {n_tokens}", repeats, lambda: relax(table))
    greedy_s, counts = timed(f"plateaus {n_tokens}", repeats, lambda: greedy_evictions(plateaus, n_heads, targets))
    cells = [f"{n_heads} x {n_tokens}", f"{len(plateaus.values):,}", f"{hull_s:.3f}", f"{greedy_s:.4f}"]
    if not heap:
        return [*cells, "not run", "-", "-"], True
    marginals = spread(plateaus, n_heads)
    heap_s, expected = timed("heap", 1, lambda: by_heap(marginals, targets))
    equal = int((counts == expected).sum())
    same = equal == counts.size
    return [*cells, f"{heap_s:.2f}", f"{heap_s / greedy_s:.0f}x", f"{equal:,} of {counts.size:,}"], same


def main() -> int:
    """0 when every count of the two solvers is equal, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--heads", type=int, default=640, help="KV heads over all layers (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=8192, help="tokens a head, heap and all (default: %(default)s)")
    parser.add_argument(
        "--long-tokens",
        type=int,
        default=131072,
        help="tokens a head without the heap; 0 = skip (default: %(default)s)",
    )
    parser.add_argument("--targets", type=int, default=99, help="prune targets (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="best of so many; the heap runs once (default: 3)")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    lines = [["heads x tokens", "runs", "hull_s", "greedy_s", "heap_s", "heap / greedy", "equal counts"]]
    row, same = measure(asked.heads, asked.tokens, asked.targets, asked.repeats, asked.seed, heap=True)
    lines.append(row)
    if asked.long_tokens:
        row, _ = measure(asked.heads, asked.long_tokens, asked.targets, asked.repeats, asked.seed, heap=False)
        lines.append(row)
    progress("")
    print("\r", end="", file=sys.stderr, flush=True)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"LU-KV's solver, {asked.targets} targets; best of {asked.repeats}, heap once; {platform.machine()}")
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
