"""Kernels that may not be shipped for other reasons than spills. Compiled by test_gate.py in a process of its own."""

from collections.abc import Iterator

import triton
import triton.language as tl

from lukv_bench.kernels.aot_case import Case


@triton.jit
def product(left: tl.tensor, right: tl.tensor, out: tl.tensor, n: tl.tensor, SIZE: tl.constexpr) -> None:
    """As many steps' blocks of a factor as `num_stages` says are in shared memory at a time."""
    row, column = tl.arange(0, SIZE)[:, None], tl.arange(0, SIZE)[None, :]
    total = tl.zeros((SIZE, SIZE), tl.float32)
    for start in range(0, n, SIZE):
        a, b = tl.load(left + row * n + start + column), tl.load(right + (start + row) * SIZE + column)
        total = tl.dot(a, b, total)
    tl.store(out + row * SIZE + column, total)


@triton.jit
def unknown(target: tl.tensor) -> None:
    tl.store(target, no_such_name)  # noqa: F821 - what the compiler must refuse


FACTORS = {"left": "*fp16", "right": "*fp16", "out": "*fp32", "n": "i32"}


def cases() -> Iterator[Case]:
    yield Case("deep-product", product, FACTORS, {"SIZE": 64}, {"num_stages": 24})
    yield Case("unknown-name", unknown, {"target": "*fp32"}, {})
