"""The log-sum-exp of attention: exact enough, and enough to merge attention over parts of the tokens."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lukv_bench.kernels.form import Form
from lukv_bench.kernels.ragged_attention import ragged_attention
from lukv_bench.kernels.segments import Segments
from lukv_bench.kernels.select import select
from lukv_bench.kernels.shared_attention import shared_attention

SCALE = 0.37
N_NEW = 3
Attended = tuple[Tensor, Tensor]


def reference(query: Tensor, keys: list[list[Tensor]], values: list[list[Tensor]], n_new: int) -> Attended:
    """Output [B, Q, HQ, D] and log-sum-exp [B, HQ, Q] in float64, over the tokens of each row and head."""
    n_batch, n_query_heads, n_queries, _ = query.shape
    group = n_query_heads // len(keys[0])
    out, lse = query.transpose(1, 2).double(), query[..., 0].double()
    for b in range(n_batch):
        for q_head in range(n_query_heads):
            k, v = keys[b][q_head // group].double(), values[b][q_head // group].double()
            for i in range(n_queries):
                seen = len(k) - n_new + i + 1
                logits = (k[:seen] @ query[b, q_head, i].double()) * SCALE
                lse[b, q_head, i] = logits.logsumexp(0)
                out[b, i, q_head] = logits.softmax(0) @ v[:seen]
    return out, lse


def merged(parts: list[Attended]) -> Attended:
    lses = torch.stack([lse for _, lse in parts]).double()
    lse = lses.logsumexp(0)
    weights = (lses - lse).exp().transpose(2, 3).unsqueeze(-1)
    return sum(out.double() * weight for (out, _), weight in zip(parts, weights, strict=True)), lse  # type: ignore[return-value]


def ragged(*arguments: Any) -> Attended:
    out, lse = ragged_attention(*arguments, Form(SCALE), with_lse=True)
    assert lse is not None
    return out, lse


def shared(*arguments: Any) -> Attended:
    out, lse, _ = shared_attention(*arguments, Form(SCALE), with_lse=True)
    assert lse is not None
    return out, lse


def assert_same(got: Attended, expected: Attended) -> None:
    assert got[1].dtype in (torch.float32, torch.float64)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one.double(), other, atol=2e-5, rtol=2e-5)


def counts_of(case: Any, least: int) -> Tensor:
    random = torch.Generator().manual_seed(3)
    return torch.randint(least, case.n_tokens + 1, (case.n_batch, case.n_heads), generator=random)


def ragged_case(case: Any, factor: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Segments, Attended]:
    """A query, keys and values with NaN in the spare slots, where they lie, and what attention over them is."""
    lengths = counts_of(case, N_NEW)
    segments = Segments.packed(lengths, lengths + 2)
    random = torch.Generator().manual_seed(4)
    keys, values = torch.full((2, int(segments.capacities.sum()), case.dim), float("nan"))
    slots = segments.slots()
    keys[slots] = torch.randn(len(slots), case.dim, generator=random) * factor
    values[slots] = torch.randn(len(slots), case.dim, generator=random)
    query, _, _ = case.chunk(N_NEW, 0)
    parted = [
        [
            [flat[start : start + n] for start, n in zip(*row, strict=True)]
            for row in zip(segments.starts, lengths, strict=True)
        ]
        for flat in (keys, values)
    ]
    return query, keys, values, segments, reference(query, *parted, N_NEW)


def test_ragged_attention_over_two_parts_merges_to_attention_over_the_whole(case: Any) -> None:
    query, keys, values, segments, expected = ragged_case(case)
    new = torch.full((case.n_batch,), N_NEW)
    assert_same(ragged(query, keys, values, segments, new), expected)
    first = (segments.lengths - N_NEW) // 2  # nothing, in some heads
    halves = [
        Segments(segments.starts, first, first),
        Segments(segments.starts + first, segments.lengths - first, segments.capacities - first),
    ]
    parts = [
        ragged(query, keys, values, part, seen) for part, seen in zip(halves, (torch.zeros_like(new), new), strict=True)
    ]
    assert_same(merged(parts), expected)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "whole"])
def test_shared_attention_over_two_parts_merges_to_attention_over_the_whole(
    case: Any, masked: bool, share: float
) -> None:
    keys, values = case.context(1)
    scores = torch.rand(case.n_batch, *keys.shape[1:3], generator=torch.Generator().manual_seed(5))
    mask = select(scores, counts_of(case, 0), torch.zeros(case.n_tokens, dtype=torch.bool)).mask
    seen = mask if masked else torch.ones_like(mask)
    query, tail_keys, tail_values = case.chunk(N_NEW, 1)
    both = [
        [[torch.cat([context[0, h, seen[b, h]], tail[b, h]]) for h in range(case.n_heads)] for b in range(case.n_batch)]
        for context, tail in ((keys, tail_keys), (values, tail_values))
    ]
    expected = reference(query, *both, N_NEW)
    heads, new = torch.zeros(case.n_batch, case.n_heads, dtype=torch.int64), torch.full((case.n_batch,), N_NEW)
    tails = [tail.reshape(-1, case.dim) for tail in (tail_keys, tail_values)]

    def attend(tokens: slice, tails: list[Tensor], n_tail: int) -> Attended:
        segments = Segments.packed(heads + n_tail, heads + n_tail)
        part = mask[..., tokens] if masked else None
        context = keys[:, :, tokens], values[:, :, tokens]
        return shared(query, *context, part, *tails, segments, new if n_tail else new * 0)

    assert_same(attend(slice(None), tails, N_NEW), expected)
    nothing = [tail[:0] for tail in tails]
    cut = int(share * case.n_tokens)
    parts = [attend(slice(cut), nothing, 0), attend(slice(cut, None), tails, N_NEW)]
    assert_same(merged(parts), expected)


@pytest.mark.parametrize("factor", [1.0, 300.0])
def test_the_log_sum_exp_is_off_by_rounding_of_the_largest_logit(case: Any, factor: float) -> None:
    query, keys, values, segments, (_, expected) = ragged_case(case, factor)
    _, lse = ragged(query, keys, values, segments, torch.full((case.n_batch,), N_NEW))
    assert lse.dtype == torch.float32
    largest = float(expected.abs().max())
    error = float((lse.double() - expected).abs().max())
    assert error < 5e-7 * largest


def test_a_query_that_sees_nothing_gives_zero_and_minus_infinity(case: Any) -> None:
    query, _, _ = case.chunk(1, 2)
    heads, new = (
        torch.zeros(case.n_batch, case.n_heads, dtype=torch.int64),
        torch.zeros(case.n_batch, dtype=torch.int64),
    )
    segments, nothing = Segments.packed(heads, heads), torch.empty(0, case.dim)
    keys, values = case.context(1)
    mask = torch.ones(case.n_batch, case.n_heads, case.n_tokens, dtype=torch.bool)
    mask[-1, 0] = False
    results = {
        "ragged": ragged(query, nothing, nothing, segments, new),
        "shared": shared(query, keys, values, mask, nothing, nothing, segments, new),
        "no context": shared(query, keys[:, :, :0], values[:, :, :0], None, nothing, nothing, segments, new),
    }
    for name, (out, lse) in results.items():
        blind = slice(0, case.n_query_heads // case.n_heads) if name == "shared" else slice(None)
        assert (out[-1, :, blind] == 0).all(), name
        assert (lse[-1, blind] == float("-inf")).all(), name
        assert out.isfinite().all(), name
