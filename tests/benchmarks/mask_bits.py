"""What a mask of bits would cost the shared store on a CPU: a decode step with a bool mask, and with 8 tokens a byte.

    python tests/benchmarks/mask_bits.py [--repeats N]

Plain torch has no attention that reads bits: they are unpacked in every step, by shifts or by a table of 256 rows. All
three give the same output. CPU seconds of one thread, medians; the kinds take turns.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lukv_bench.kernels.form import Form
from lukv_bench.kernels.segments import Segments
from lukv_bench.kernels.shared_attention import shared_attention

SHAPES = ((1, 3, 3, 4096, 64), (8, 3, 3, 4096, 64), (32, 3, 3, 4096, 64), (8, 8, 4, 8192, 128))
"""B, H, G, T, D: SmolLM2-135M and an 8B model."""
KEPT, TAIL = 0.2, 4
BITS = 1 << torch.arange(8, dtype=torch.uint8)
TABLE = (torch.arange(256).unsqueeze(-1) & BITS.long()).bool()
Unpack = Callable[[Tensor, int], Tensor]


def packed(mask: Tensor) -> Tensor:
    """uint8 [..., T / 8], rounded up."""
    padded = functional.pad(mask, (0, -mask.shape[-1] % 8)).unflatten(-1, (-1, 8))
    return (padded * BITS).sum(-1, dtype=torch.uint8)


def by_shifts(bits: Tensor, n: int) -> Tensor:
    """bool [..., n]."""
    return (bits.unsqueeze(-1) & BITS).bool().flatten(-2)[..., :n]


def by_table(bits: Tensor, n: int) -> Tensor:
    """bool [..., n]."""
    return TABLE[bits.long()].flatten(-2)[..., :n]


def measure(shape: tuple[int, int, int, int, int], n_repeats: int) -> str:
    """A line of the table."""
    n_batch, n_heads, group, n_tokens, dim = shape
    random = torch.Generator().manual_seed(0)
    keys, values = torch.randn(2, 1, n_heads, n_tokens, dim, generator=random)
    mask = torch.rand(n_batch, n_heads, n_tokens, generator=random) < KEPT
    query = torch.randn(n_batch, n_heads * group, 1, dim, generator=random)
    tail = torch.randn(n_batch * n_heads * TAIL, dim, generator=random)
    lengths = torch.full((n_batch, n_heads), TAIL)
    rest = tail, tail, Segments.packed(lengths, lengths), torch.ones(n_batch, dtype=torch.int64), Form(dim**-0.5)
    bits = packed(mask)
    kinds: dict[str, Callable[[], Tensor]] = {
        "bool": lambda: mask,
        "shifts": lambda: by_shifts(bits, n_tokens),
        "table": lambda: by_table(bits, n_tokens),
    }
    outs = [shared_attention(query, keys, values, made(), *rest)[0] for made in kinds.values()]
    assert all(torch.equal(out, outs[0]) for out in outs)
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(n_repeats):
        for name, made in kinds.items():
            began = time.process_time()
            shared_attention(query, keys, values, made(), *rest)
            seconds[name].append(time.process_time() - began)
    shown = "  ".join(f"{1e3 * statistics.median(each):9.2f}" for each in seconds.values())
    cache = keys.nbytes + values.nbytes
    sizes = f"{cache / 2**20:9.1f}  {mask.nbytes / 2**20:9.3f}  {bits.nbytes / 2**20:9.3f}"
    return f"{f'B{n_batch} H{n_heads} G{group} T{n_tokens} D{dim}':26}{sizes}  {shown}"


def main() -> None:
    """Print a line for each shape."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=40)
    n_repeats = options.parse_args().repeats
    torch.set_num_threads(1)
    heads = ("cache MiB", "bool MiB", "bits MiB", "bool ms", "shifts ms", "table ms")
    print(" " * 26 + "  ".join(f"{head:>9}" for head in heads))
    for shape in SHAPES:
        print(measure(shape, n_repeats), flush=True)


if __name__ == "__main__":
    main()
