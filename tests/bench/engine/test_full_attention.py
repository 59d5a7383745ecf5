"""Attention of a context to itself, against float64 written out, in every form."""

from itertools import product

import pytest
import torch
from torch import Tensor

from lukv_bench.bench.engine import full_attention as module
from lukv_bench.bench.engine.full_attention import full_attention
from lukv_bench.kernels.form import Form


def written_out(query: Tensor, keys: Tensor, values: Tensor, form: Form) -> Tensor:
    n, group = query.shape[2], query.shape[1] // keys.shape[1]
    keys, values = (states.double().repeat_interleave(group, 1) for states in (keys, values))
    logits = query.double() @ keys.transpose(2, 3) * form.scale
    if form.softcap is not None:
        logits = form.softcap * torch.tanh(logits / form.softcap)
    visible = torch.ones(n, n, dtype=torch.bool).tril()
    if form.window is not None:
        visible &= ~torch.ones(n, n, dtype=torch.bool).tril(-form.window)
    weights = logits.masked_fill(~visible, float("-inf")).exp()
    sinks = 0 if form.sinks is None else form.sinks.double().exp().view(1, -1, 1)
    return weights / (weights.sum(-1) + sinks).unsqueeze(-1) @ values


@pytest.mark.parametrize("window", [None, 1, 7, 40])
@pytest.mark.parametrize("n_tokens", [1, 5, 23, 41])
def test_every_form_is_what_is_written_out(monkeypatch: pytest.MonkeyPatch, window: int | None, n_tokens: int) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)  # several blocks
    monkeypatch.setattr(module, "LOGITS", 6 * 16 * 8)
    made = torch.Generator().manual_seed(n_tokens)
    query, keys, values = (torch.randn(1, heads, n_tokens, 12, generator=made) for heads in (6, 2, 2))
    for softcap, sinks in product((None, 1.5), (None, torch.randn(6, generator=made))):
        form = Form(0.5, window, softcap, sinks)
        out = full_attention(query, keys, values, form)
        assert (out - written_out(query, keys, values, form)).abs().max() < 1e-5, form


def test_plain_causal_attention_is_torchs_own_to_the_bit() -> None:
    made = torch.Generator().manual_seed(0)
    query, keys, values = (torch.randn(1, heads, 33, 8, generator=made) for heads in (4, 2, 2))
    own = torch.nn.functional.scaled_dot_product_attention(
        query, keys, values, is_causal=True, scale=0.3, enable_gqa=True
    )
    for form in (Form(0.3), Form(0.3, window=33), Form(0.3, window=100)):
        assert torch.equal(full_attention(query, keys, values, form), own)
