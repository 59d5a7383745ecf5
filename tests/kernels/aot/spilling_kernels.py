"""A kernel that may be shipped, and one that may not. Compiled by test_gate.py in a process of its own."""

from collections.abc import Iterator

import triton
import triton.language as tl

from lukv_bench.kernels.aot_case import Case


@triton.jit
def shares(source: tl.tensor, target: tl.tensor, BLOCK: tl.constexpr) -> None:
    """Every value is needed a second time, after all were read."""
    at = tl.arange(0, BLOCK)
    values = tl.load(source + at)
    tl.store(target + at, values / tl.sum(values))


PAIR = {"source": "*fp32", "target": "*fp32"}
FEW_REGISTERS = {"maxnreg": 32, "waves_per_eu": 8}


def cases() -> Iterator[Case]:
    yield Case("few-shares", shares, PAIR, {"BLOCK": 256})
    yield Case("too-many-shares", shares, PAIR, {"BLOCK": 2**14}, FEW_REGISTERS)
