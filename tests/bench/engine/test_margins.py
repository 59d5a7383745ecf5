"""Gradients of margins against plain transformers, which reads context and text in one pass, in float64."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Gemma2Config

from lukv_bench.bench.engine.margins import margin_gradients
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.models.shape import Unsupported

from .conftest import Tiny

N_CONTEXT, N_FED, N_TARGETS = 37, 14, 9
CLOSE = {"atol": 1e-5, "rtol": 1e-3}  # the rotary embedding is computed in float32


def in_one_pass(tiny: Tiny, ids: list[int]) -> tuple[list[Tensor], list[Tensor], tuple[Tensor, ...]]:
    """Per layer what its heads give [T, HQ x D], the gradient of the targets' margins with respect to it, and its
    weights [HQ, T, T]."""
    model = deepcopy(tiny.plain).double()
    model.set_attn_implementation("eager")
    given: list[Tensor] = []

    def see(_: Any, args: tuple[Tensor, ...]) -> None:
        args[0].retain_grad()
        given.append(args[0])

    for layer in model.model.layers:
        layer.self_attn.o_proj.register_forward_pre_hook(see)
    out = model(input_ids=torch.tensor([ids]), output_attentions=True)
    total = 0
    for place in range(len(ids) - N_TARGETS, len(ids)):
        logits, target = out.logits[0, place - 1], ids[place]
        others = torch.cat([logits[:target], logits[target + 1 :]])
        total = total + logits[target] - others.exp().sum().log()
    total.backward()
    return [each.detach()[0] for each in given], [each.grad[0] for each in given], [each[0] for each in out.attentions]


@pytest.mark.parametrize("n_seen", [N_CONTEXT, 20])
def test_gradients_outputs_and_weights_are_those_of_one_pass(
    tiny: Tiny, some_ids: Callable[[int, int], list[int]], n_seen: int
) -> None:
    context_ids, text = some_ids(N_CONTEXT, 1), some_ids(N_FED, 2)
    loaded = replace(tiny.loaded, model=deepcopy(tiny.loaded.model).double())
    loaded.model.lm_head.weight.requires_grad_(False)
    context = prefill(loaded, context_ids, {}, n_sequence=N_CONTEXT + N_FED)
    fed = margin_gradients(loaded, context, n_seen, text, N_TARGETS)
    outputs, gradients, weights = in_one_pass(tiny, [*context_ids[:n_seen], *text])
    assert len(fed) == loaded.shape.n_layers
    for layer, output, gradient, weight in zip(fed, outputs, gradients, weights, strict=True):
        own = slice(n_seen, n_seen + N_FED - 1)  # the last token is a target, and is not fed
        shape = (N_FED - 1, *layer.output.shape[::2])
        torch.testing.assert_close(layer.output, output[own].view(shape).transpose(0, 1), **CLOSE)
        torch.testing.assert_close(layer.gradient, gradient[own].view(shape).transpose(0, 1), **CLOSE)
        torch.testing.assert_close(
            layer.weights.flatten(0, 1).double(), weight[:, own, : own.stop], atol=1e-5, rtol=1e-4
        )
    frozen = [name for name, parameter in loaded.model.named_parameters() if not parameter.requires_grad]
    assert frozen == ["lm_head.weight"], "as before"
    assert not any(keys.requires_grad for keys in context.keys)


def test_a_softcap_is_refused(
    build: Callable[..., LoadedModel], sizes: dict[str, Any], some_ids: Callable[[int, int], list[int]]
) -> None:
    heads = {"hidden_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12}
    config = Gemma2Config(**sizes, **heads, layer_types=["full_attention"] * 3, attn_logit_softcapping=20.0)
    loaded = prove_attention(build(config, "eager"))
    context = prefill(loaded, some_ids(30, 1), {}, n_sequence=40)
    with pytest.raises(Unsupported, match="softcap"):
        margin_gradients(loaded, context, 30, some_ids(8, 2), 4)
