"""How the margins of a text's tokens depend on what each attention layer gives while the text is fed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.cache_utils import Cache

from ...kernels.form import Form
from ..models.load import LoadedModel
from ..models.shape import Unsupported
from .cache import BaseLayer
from .context import Context
from .feed import MESSAGE
from .rotary import rotating_for


@dataclass(frozen=True)
class FedLayer:
    """A layer while Q tokens were fed over the first n tokens of a context.

    Attributes:
        query: [HQ, Q, D], after the rotary embedding.
        keys: [H, n + Q, D], the context's and those of the fed tokens.
        values: [H, n + Q, D].
        output: [HQ, Q, D], what each query head gave.
        gradient: [HQ, Q, D], of the sum of all targets' margins with respect to it.
        scale: Factor on q . k.
    """

    query: Tensor
    keys: Tensor
    values: Tensor
    output: Tensor
    gradient: Tensor
    scale: float

    @property
    def weights(self) -> Tensor:
        """float32 [H, G, Q, n + Q], the softmax weights."""
        n_heads, n_keys, dim = self.keys.shape
        n_fed = self.query.shape[1]
        query = self.query.float().view(n_heads, -1, n_fed, dim) * self.scale
        logits = query @ self.keys.float().transpose(1, 2).unsqueeze(1)
        return logits.masked_fill_(~_visible(n_fed, n_keys, logits.device), float("-inf")).softmax(dim=-1)


class _GradientLayer(BaseLayer):
    """Attends over a context and one chunk, and can be differentiated.

    Args:
        index: Its place among the layers that are evicted.
        keys: [1, H, n, D], the context's.
        values: [1, H, n, D].
    """

    def __init__(self, index: int, keys: Tensor, values: Tensor) -> None:
        super().__init__(index)
        self._keys, self._values, self._scale = keys, values, 0.0
        self._n_context = int(keys.shape[2])
        self._query = self._output = self.shift = keys.new_empty(0)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Take the chunk's keys and values, [1, H, Q, D]."""
        self.take_one_chunk()
        self._keys = torch.cat([self._keys, key_states], dim=2)
        self._values = torch.cat([self._values, value_states], dim=2)
        return self, self

    def attend(self, _: Any, query: Tensor, form: Form) -> Tensor:
        """[1, HQ, Q, D] -> [1, Q, HQ, D]."""
        visible = _visible(query.shape[2], self._keys.shape[2], query.device)
        output = functional.scaled_dot_product_attention(
            query, self._keys, self._values, attn_mask=visible, scale=form.scale, enable_gqa=True
        )
        self.shift = torch.zeros_like(output, requires_grad=True)
        self._query, self._output, self._scale = query.detach(), output.detach(), form.scale
        return (output + self.shift).transpose(1, 2)

    def fed(self, gradient: Tensor) -> FedLayer:
        """The record of the chunk, with a gradient of [1, HQ, Q, D]."""
        keys, values = self._keys.detach()[0], self._values.detach()[0]
        return FedLayer(self._query[0], keys, values, self._output[0], gradient[0], self._scale)

    def get_seq_length(self) -> int:
        """Tokens of the context."""
        return self._n_context


def _visible(n_fed: int, n_keys: int, device: torch.device) -> Tensor:
    """bool [fed, keys]: the keys that each of the last tokens sees."""
    last = torch.arange(n_keys - n_fed, n_keys, device=device).unsqueeze(-1)
    return torch.arange(n_keys, device=device) <= last


def refuse_gradients(loaded: LoadedModel) -> None:
    """Refuse a model whose margins are not differentiated here.

    Raises:
        Unsupported: it has layers that are not evicted, or attention with a softcap or sinks.
    """
    if loaded.shape.kept_whole or loaded.shape.stateful or loaded.logit_options:
        raise Unsupported("it has layers with windows or states, or attention with a softcap or sinks")


def margin_gradients(
    loaded: LoadedModel, context: Context, n_context: int, ids: Sequence[int], n_targets: int
) -> list[FedLayer]:
    """Feed a text over the first tokens of a context, and differentiate the margins of its last tokens.

    The margin of a token is its logit less the logarithm of the summed exponentials of all others: it does not
    saturate where the model is sure, as the likelihood does.

    Args:
        loaded: The model, switched to store attention; every layer is evicted.
        context: Held in memory; it is not changed.
        n_context: The context's tokens that are seen, from the first on.
        ids: The text; all tokens but the last are fed.
        n_targets: How many of its last tokens count; fewer than it has.

    Returns:
        One a layer, for the tokens fed; the last `n_targets` of them predict a target each.

    Raises:
        Unsupported: as `refuse_gradients`.
        ArithmeticError: the logits or the gradients are not finite.
    """
    refuse_gradients(loaded)
    layers = [
        _GradientLayer(index, keys[:, :, :n_context], values[:, :, :n_context])
        for index, (keys, values) in enumerate(context.layers())
    ]
    n_fed = len(ids) - 1
    tokens = torch.tensor([ids], device=loaded.device)
    positions = torch.arange(n_context, n_context + n_fed, device=loaded.device)
    with _only_activations(loaded.model), rotating_for(loaded.model, context.n_sequence, context.n_sequence):
        logits = loaded.model(
            input_ids=tokens[:, :-1],
            position_ids=positions.unsqueeze(0),
            past_key_values=Cache(layers=[*layers]),
            use_cache=True,
            logits_to_keep=list(range(n_fed - n_targets, n_fed)),
        ).logits[0]
        margins = _margins(logits.float(), tokens[0, -n_targets:].to(logits.device))
        if not bool(margins.isfinite().all()):
            raise ArithmeticError(MESSAGE)
        gradients = torch.autograd.grad(margins.sum(), [layer.shift for layer in layers])
    if not all(bool(gradient.isfinite().all()) for gradient in gradients):
        raise ArithmeticError("the gradients of the model's logits are not finite")
    return [layer.fed(gradient) for layer, gradient in zip(layers, gradients, strict=True)]


def _margins(logits: Tensor, targets: Tensor) -> Tensor:
    """float32 [n] of logits [n, vocabulary]."""
    own = logits.gather(1, targets.unsqueeze(-1))
    others = logits.scatter(1, targets.unsqueeze(-1), float("-inf"))
    return own[:, 0] - others.logsumexp(dim=-1)


@contextmanager
def _only_activations(model: Any) -> Iterator[None]:
    """Differentiate activations, and no weights: nothing is held for those."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        with torch.inference_mode(mode=False), torch.enable_grad():
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
