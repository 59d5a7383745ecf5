"""Windows, softcaps and sinks in both ops, against the definition in float64, one query at a time."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lukv_bench.kernels.form import Form
from lukv_bench.kernels.ragged_attention import ragged_attention
from lukv_bench.kernels.segments import Segments
from lukv_bench.kernels.shared_attention import shared_attention

Attended = tuple[Tensor, Tensor]
SINKS = torch.linspace(-2, 3, 20)
"""Of as many query heads as the widest case has."""
FORMS = {
    "softcap": Form(0.9, softcap=1.5),
    "window of 1": Form(0.4, window=1),
    "window of 6": Form(0.4, window=6),
    "sinks": Form(0.4, sinks=SINKS),
    "all": Form(0.7, window=9, softcap=2.0, sinks=SINKS),
}


def defined(query: Tensor, keys: Tensor, values: Tensor, end: int, form: Form, sink: float | None) -> Attended:
    """Of one query whose window ends with token `end - 1`, over the tokens [T, D] that are not hidden (NaN)."""
    first = 0 if form.window is None else max(end - form.window, 0)
    seen = [t for t in range(first, end) if not keys[t].isnan().any()]
    logits = (keys[seen].double() @ query.double()) * form.scale
    if form.softcap is not None:
        logits = form.softcap * (logits / form.softcap).tanh()
    sinks = torch.tensor([] if sink is None else [sink]).double()
    everything = torch.cat([logits, sinks])
    weights = everything.softmax(0)[: len(seen)]
    return weights @ values[seen].double(), everything.logsumexp(0)


def attention(query: Tensor, tokens: list[list[tuple[Tensor, Tensor]]], new: Tensor, form: Form) -> Attended:
    """Output [B, Q, HQ, D] and log-sum-exp [B, HQ, Q], NaN for the queries past a row's chunk."""
    out, lse = (torch.full_like(part, float("nan")).double() for part in (query.transpose(1, 2), query[..., 0]))
    group = query.shape[1] // len(tokens[0])
    for b, n_new in enumerate(new.tolist()):
        for q_head in range(query.shape[1]):
            keys, values = tokens[b][q_head // group]
            sink = None if form.sinks is None else float(form.sinks[q_head])
            for i in range(n_new or query.shape[2]):
                end = len(keys) - n_new + i + 1 if n_new else len(keys)
                one = defined(query[b, q_head, i], keys, values, end, form, sink)
                out[b, i, q_head], lse[b, q_head, i] = one
    return out, lse


def assert_same(got: Attended, expected: Attended) -> None:
    for one, other in zip(got, expected, strict=True):
        real = ~other.isnan()
        torch.testing.assert_close(one[real].double(), other[real], atol=2e-5, rtol=2e-5)


def form_of(name: str, case: Any) -> Form:
    form = FORMS[name]
    return form if form.sinks is None else replace(form, sinks=form.sinks[: case.n_query_heads])


def lengths_of(case: Any, least: int, n_tokens: int) -> Tensor:
    lengths = torch.randint(
        least, n_tokens + 1, (case.n_batch, case.n_heads), generator=torch.Generator().manual_seed(3)
    )
    lengths[-1, 0] = least
    return lengths


def chunk_of(case: Any, n_queries: int) -> Tensor:
    """int64 [B]: all are real in the first row, none in the last of several, some in the others."""
    new = torch.full((case.n_batch,), n_queries)
    if case.n_batch > 1:
        new[1:] = n_queries // 2
        new[-1] = 0
    return new


@pytest.mark.parametrize("n_queries", [1, 4])
@pytest.mark.parametrize("name", FORMS)
def test_ragged_attention_has_its_form(case: Any, name: str, n_queries: int) -> None:
    form, new = form_of(name, case), chunk_of(case, n_queries)
    lengths = torch.maximum(lengths_of(case, 0, case.n_tokens), new.unsqueeze(-1))
    segments, random = Segments.packed(lengths, lengths + 2), torch.Generator().manual_seed(4)
    keys, values = torch.full((2, int(segments.capacities.sum()), case.dim), float("nan"))
    keys[segments.slots()] = torch.randn(int(lengths.sum()), case.dim, generator=random)
    values[segments.slots()] = torch.randn(int(lengths.sum()), case.dim, generator=random)
    query, _, _ = case.chunk(n_queries, 0)
    heads = zip(segments.split(keys), segments.split(values), strict=True)
    tokens = [[next(heads) for _ in range(case.n_heads)] for _ in range(case.n_batch)]
    out, lse = ragged_attention(query, keys, values, segments, new, form, with_lse=True)
    assert lse is not None
    assert_same((out, lse), attention(query, tokens, new, form))


@pytest.mark.parametrize("n_queries", [1, 4])
@pytest.mark.parametrize("name", FORMS)
def test_shared_attention_has_its_form(case: Any, name: str, n_queries: int) -> None:
    """A window counts the context's positions, those that the mask hides too."""
    form, new = form_of(name, case), chunk_of(case, n_queries)
    (keys, values), random = case.context(1), torch.Generator().manual_seed(5)
    mask = torch.rand(case.n_batch, case.n_heads, case.n_tokens, generator=random) < 0.6
    mask[-1, 0] = False
    lengths = torch.maximum(lengths_of(case, 0, 7), new.unsqueeze(-1))
    tail = Segments.packed(lengths, torch.full_like(lengths, 8))
    tails = torch.full((2, int(tail.capacities.sum()), case.dim), float("nan"))
    tails[:, tail.slots()] = torch.randn(2, int(lengths.sum()), case.dim, generator=random)
    query, _, _ = case.chunk(n_queries, 0)
    own = [list(tail.split(flat)) for flat in tails]
    tokens = [
        [
            (
                torch.cat(
                    [keys[0, h].masked_fill(~mask[b, h].unsqueeze(-1), float("nan")), own[0][b * case.n_heads + h]]
                ),
                torch.cat([values[0, h], own[1][b * case.n_heads + h]]),
            )
            for h in range(case.n_heads)
        ]
        for b in range(case.n_batch)
    ]
    arguments = query, keys, values, mask, tails[0], tails[1], tail, new, form
    out, lse, weights = shared_attention(*arguments, with_lse=True)
    assert lse is not None
    assert_same((out, lse), attention(query, tokens, new, form))
    weights = weights[..., : mask.shape[-1]]
    hidden = ~mask.view(case.n_batch, case.n_heads, 1, 1, -1).expand_as(weights)
    assert (weights[hidden] == 0).all()


@pytest.mark.parametrize("wrong", [{"window": 0}, {"softcap": 0.0}, {"softcap": float("nan")}], ids=str)
def test_a_form_without_a_meaning_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a (window|softcap) of (0|0.0|nan)"):
        Form(1.0, **wrong)
