"""Ragged attention in Triton, interpreted, against the definition in float64 and against torch."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lukv_bench.kernels.form import Form
from lukv_bench.kernels.ragged_attention import ragged_attention, triton
from lukv_bench.kernels.ragged_attention.plan import Plan, balanced
from lukv_bench.kernels.ragged_attention.tiles import Tiles
from lukv_bench.kernels.segments import Segments

EXACT, HALF, PLAIN = torch.float32, torch.float16, Form(0.2)
ERROR = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
"""Of outputs that are means of standard normal values: the weights and the output are rounded to the type."""
TILES = Tiles(rows=16, slots=64, warps=4, stages=2, merged_rows=16)


@dataclass(frozen=True)
class Shape:
    """A chunk of `n_queries` tokens, of which row b has `new[b]`, over segments of these lengths, chunk included."""

    lengths: list[list[int]]
    group: int
    dim: int
    n_queries: int
    new: list[int]
    dtype: torch.dtype
    form: Form = PLAIN
    n_programs: int = 5

    def __str__(self) -> str:
        return f"G{self.group}-D{self.dim}-Q{self.n_queries}-{str(self.dtype)[6:]}"


SHAPES = [
    Shape([[1, 0, 250]], 4, 64, 1, [0], EXACT),  # an empty head, a head of one token, a head with nearly all
    Shape([[1, 131], [1, 2]], 3, 80, 1, [1, 1], torch.bfloat16),
    Shape([[7, 190], [40, 3]], 1, 128, 5, [5, 3], HALF, Form(0.1, softcap=2.0)),
    Shape([[100, 9], [3, 70]], 7, 96, 3, [0, 2], EXACT, Form(0.3, window=6)),
    Shape([[17, 65]], 8, 256, 2, [2], torch.bfloat16, Form(0.1, softcap=3.0, sinks=torch.linspace(-2, 3, 16))),
    Shape([[0, 64]], 8, 80, 1, [0], HALF, Form(0.2, sinks=torch.linspace(-2, 3, 16)), n_programs=1),
    Shape([[180]], 1, 64, 128, [128], HALF, Form(0.2, window=50)),
    Shape([[66]], 4, 64, 9, [7], EXACT, Form(0.7, window=70, softcap=2.0, sinks=torch.linspace(-2, 3, 4))),
    Shape([[5]], 1, 64, 1, [1], HALF, n_programs=8),  # more programs than work
]


def tensors(shape: Shape) -> tuple[Tensor, Tensor, Tensor, Segments, Tensor]:
    """Query, keys and values with NaN in the spare slots, where they lie, and the chunk."""
    random, lengths = torch.Generator().manual_seed(7), torch.tensor(shape.lengths)
    segments = Segments.packed(lengths, lengths + 3)
    keys, values = torch.full((2, int(segments.capacities.sum()), shape.dim), float("nan"))
    slots = segments.slots()
    for flat in (keys, values):
        flat[slots] = torch.randn(len(slots), shape.dim, generator=random)
    n_query_heads = lengths.shape[1] * shape.group
    query = torch.randn(len(lengths), shape.n_queries, n_query_heads, shape.dim, generator=random).transpose(1, 2)
    query, keys, values = (tensor.to(shape.dtype) for tensor in (query, keys, values))
    return query, keys, values, segments, torch.tensor(shape.new)


def exact(query: Tensor, keys: Tensor, values: Tensor, segments: Segments, new: Tensor, form: Form) -> Any:
    """float64 output [B, Q, HQ, D] and log-sum-exp [B, HQ, Q], one query at a time; NaN past a row's chunk."""
    out, lse = (torch.full_like(part, float("nan")).double() for part in (query.transpose(1, 2), query[..., 0]))
    group = query.shape[1] // segments.starts.shape[1]
    for b, n_new in enumerate(new.tolist()):
        for q_head in range(query.shape[1]):
            start, n = (int(part[b, q_head // group]) for part in (segments.starts, segments.lengths))
            for i in range(n_new or query.shape[2]):
                end = n - n_new + i + 1 if n_new else n
                seen = slice(start + max(end - (form.window or n), 0), start + end)
                logits = keys[seen].double() @ query[b, q_head, i].double() * form.scale
                logits = logits if form.softcap is None else form.softcap * (logits / form.softcap).tanh()
                sinks = logits[:0] if form.sinks is None else form.sinks[q_head : q_head + 1].double()
                everything = torch.cat([logits, sinks])
                out[b, i, q_head] = everything.softmax(0)[: len(logits)] @ values[seen].double()
                lse[b, q_head, i] = everything.logsumexp(0)
    return out, lse


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_within_rounding_of_float64(shape: Shape) -> None:
    arguments = tensors(shape)
    plan = balanced(arguments[3].lengths, shape.n_programs, TILES.slots)
    out, lse = triton.ragged_attention(*arguments, shape.form, plan, TILES)
    expected, expected_lse = exact(*arguments, shape.form)
    real, rows = ~expected.isnan(), ~expected_lse.isnan()
    assert out.dtype == shape.dtype
    torch.testing.assert_close(out[real].double(), expected[real], atol=ERROR[shape.dtype], rtol=ERROR[shape.dtype])
    torch.testing.assert_close(lse[rows].double(), expected_lse[rows], atol=2e-6, rtol=1e-6)


def test_the_op_plans_for_itself_and_agrees_with_torch() -> None:
    arguments, form = tensors(replace(SHAPES[7], lengths=[[40, 2]], n_queries=2, new=[2])), Form(0.2)
    expected, expected_lse = ragged_attention(*arguments, form, with_lse=True)
    out, lse = ragged_attention(*arguments, form, with_lse=True, backend="triton-interpret")
    torch.testing.assert_close(out, expected, atol=2e-6, rtol=2e-6)
    torch.testing.assert_close(lse, expected_lse, atol=2e-6, rtol=2e-6)
    assert ragged_attention(*arguments, form, backend="triton-interpret")[1] is None


@pytest.mark.parametrize("growth", [-2, 40])
def test_an_old_plan_serves_segments_that_have_grown_or_shrunk(growth: int) -> None:
    query, keys, values, segments, _ = tensors(Shape([[60, 2, 130]], 1, 64, 1, [0], EXACT))
    then = Segments(segments.starts, (segments.lengths - growth).clamp_min(0), segments.capacities)
    plan: Plan = balanced(then.lengths, 5, 16)
    new = torch.tensor([0])
    out, _ = triton.ragged_attention(query, keys, values, segments, new, Form(0.2), plan, TILES)
    expected, _ = ragged_attention(query, keys, values, segments, new, Form(0.2))
    torch.testing.assert_close(out, expected, atol=2e-6, rtol=2e-6)
