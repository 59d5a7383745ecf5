"""What ops launch for shipped types and head dims is what the gate compiles: the same constants and warps."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from triton.runtime import interpreter

from lukv_bench.kernels import (
    append,
    compact,
    keydiff,
    projected_norm,
    ragged_attention,
    select,
    window_attention,
)
from lukv_bench.kernels.aot.discovery import cases_of, shipped_modules
from lukv_bench.kernels.aot_case import SHIPPED
from lukv_bench.kernels.form import Form
from lukv_bench.kernels.ragged_attention import triton as ragged_kernels
from lukv_bench.kernels.segments import Segments
from lukv_bench.kernels.window_attention import triton as window_kernels

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
Launch = tuple[str, tuple[tuple[str, Any], ...], int]
"""Kernel, constants, warps."""


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> set[Launch]:
    """What is launched, instead of its execution."""
    seen = set[Launch]()

    def record(executor: Any, *args: Any, **kwargs: Any) -> None:
        constants = tuple((name, kwargs[name]) for name in executor.constexprs)
        seen.add((executor.fn.__name__, constants, kwargs["num_warps"]))

    monkeypatch.setattr(interpreter.GridExecutor, "__call__", record)
    for module in (window_kernels, ragged_kernels):
        monkeypatch.setattr(module, "interprets", lambda: False)
    return seen


def compiled() -> Iterator[Launch]:
    for module in shipped_modules():
        for case in cases_of(module).values():
            names = [name for name in case.kernel.arg_names if name in case.constexprs]
            constants = tuple((name, case.constexprs[name]) for name in names)
            yield case.kernel.__name__, constants, case.options["num_warps"]


def run_all(keys: Tensor, queries: Tensor) -> None:
    """Every op once, in its usual tiles."""
    n_heads, n_tokens, dim = keys.shape[1:]
    counts = torch.full((1, n_heads), n_tokens // 2)
    kept = select.select(torch.zeros(1, n_heads, n_tokens), counts, torch.zeros(n_tokens, dtype=torch.bool))
    select.select(torch.zeros(1, n_heads, n_tokens), counts, torch.zeros(n_tokens, dtype=torch.bool), backend="triton")
    keydiff.keydiff(keys, backend="triton")
    compact.compact(keys, keys, kept, Segments.packed(counts, counts), backend="triton")
    projected_norm.projected_norm(keys, torch.zeros(queries.shape[1], dim, 8), backend="triton")
    flat, where = keys.flatten(0, 2), Segments.packed(counts, counts + 40)
    sinks = torch.zeros(queries.shape[1], dtype=keys.dtype)
    for options in ({}, {"softcap": 2.0, "sinks": sinks}):
        window_attention.window_attention(queries, keys, Form(1.0, **options), backend="triton")
    for n_new in (1, 4, 32):
        new = keys[:, :, :n_new]
        append.append(flat, flat, where, new, new, torch.tensor([n_new]), backend="triton")
        for form in (Form(1.0), Form(1.0, window=8, softcap=2.0, sinks=sinks)):
            after, now = where.extended(torch.tensor([n_new])), torch.tensor([n_new])
            query = queries[:, :, :n_new]
            ragged_attention.ragged_attention(query, flat, flat, after, now, form, backend="triton")


@pytest.mark.parametrize(("dtype", "dim"), SHIPPED)
def test_what_is_launched_is_compiled(launches: set[Launch], dtype: str, dim: int) -> None:
    run_all(torch.zeros(1, 2, 300, dim, dtype=DTYPES[dtype]), torch.zeros(1, 8, 32, dim, dtype=DTYPES[dtype]))
    assert len(launches) >= 10
    missing = sorted(map(str, launches - set(compiled())))
    assert not missing
