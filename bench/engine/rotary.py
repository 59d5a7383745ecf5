"""Rotary embeddings that depend on the length of the sequence (LongRoPE, dynamic NTK), fixed at the whole length.

transformers takes the longest position of the present call as the length. Here a sequence is fed in parts (context,
question, answer), and every part must be rotated as one pass over the whole sequence would rotate it.
"""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...scorers.base import Rotary
from ..errors import ViewError

FIXED = "fixed"
"""A rope type that transformers does not adapt to the call's length."""


@dataclass(frozen=True)
class _ByLength:
    """A rotary embedding that depends on the length.

    Attributes:
        module: The rotary module.
        layer_type: The type of layers that it is for; None = all.
        kind: "longrope", or some "dynamic".
    """

    module: Any
    layer_type: str | None
    kind: str

    @property
    def longest_short(self) -> int:
        """The longest sequence, in tokens, that is rotated like every shorter one."""
        if self.kind != "longrope":
            return int(self.module.original_max_seq_len)
        parameters = self.module.config.rope_parameters
        if self.layer_type is not None:
            parameters = parameters[self.layer_type]
        return int(parameters["original_max_position_embeddings"])

    def shortest_alike(self, n_tokens: int) -> int:
        """The shortest sequence, in tokens, that is rotated like one of `n_tokens`."""
        if n_tokens <= self.longest_short:
            return 0
        return self.longest_short + 1 if self.kind == "longrope" else n_tokens

    def adapt(self, n_tokens: int) -> None:
        """Let the module adapt to a length by its own rule. It is reset first, since dynamic NTK only ever grows."""
        device = next(self.module.buffers()).device
        for position in (0, max(n_tokens - 1, 0)):
            call(self.module, self.layer_type, torch.tensor([position], device=device))


def depends_on_length(model: Any) -> bool:
    """Whether the rotation of a token depends on the length of its sequence."""
    return bool(_by_length(model))


def shortest_alike(model: Any, n_tokens: int) -> int:
    """The shortest sequence, in tokens, that the model rotates like one of `n_tokens`.

    Two lengths are rotated alike if it is the same for both. It is 0 if the rotation does not depend on the length.
    """
    return max((part.shortest_alike(n_tokens) for part in _by_length(model)), default=0)


def switch_events(model: Any, n_prompt: int, n_sequence: int) -> list[dict[str, object]]:
    """An event if the rotary embedding changes between the prompt's length and the longest answer's.

    The whole sequence is rotated for the longest answer, from its first token on. `generate` rotates for the prompt
    alone at first and, in Phi-3's classes, reads everything again at the change.
    """
    if shortest_alike(model, n_prompt) == shortest_alike(model, n_sequence):
        return []
    return [{"event": "rotary_switch_in_answer", "n_prompt": n_prompt, "n_sequence": n_sequence}]


@contextmanager
def rotating_for(model: Any, n_sequence: int, n_fed: int) -> Iterator[None]:
    """Rotate every pass as one pass over the whole sequence would.

    Args:
        model: The transformers model.
        n_sequence: Tokens of the whole sequence.
        n_fed: The most tokens that will have been fed at the end.

    Raises:
        ValueError: `n_fed` tokens would be rotated differently from `n_sequence` tokens.
    """
    if shortest_alike(model, n_fed) > shortest_alike(model, n_sequence):
        raise ValueError(f"{n_fed} tokens are fed of a sequence that is rotated for {n_sequence}")
    parts = _by_length(model)
    for part in parts:
        part.adapt(n_sequence)
    with ExitStack() as after:
        for part in parts:
            after.callback(part.adapt, 1)
        for module in {id(part.module): part.module for part in parts}.values():
            after.enter_context(_fixed(module, n_sequence))
        yield


@contextmanager
def _fixed(module: Any, n_sequence: int) -> Iterator[None]:
    """Keep a rotary module from adapting to a call's length."""
    before = {"rope_type": module.rope_type, "config": module.config}
    module.rope_type = dict.fromkeys(before["rope_type"], FIXED) if isinstance(before["rope_type"], dict) else FIXED
    module.config = _one_scale(module.config, n_sequence)
    try:
        yield
    finally:
        vars(module).update(before)


def _one_scale(config: Any, n_sequence: int) -> Any:
    """The configuration with the scale of cos and sin for a length; PhiMoE chooses one of two by the call's length."""
    parameters = config.rope_parameters
    if "long_mscale" not in parameters:
        return config
    scale = parameters["long_mscale" if n_sequence > parameters["original_max_position_embeddings"] else "short_mscale"]
    config = copy.copy(config)
    config.rope_parameters = {**parameters, "short_mscale": scale, "long_mscale": scale}
    return config


def _by_length(model: Any) -> list[_ByLength]:
    parts = []
    for module in model.modules():
        kinds = getattr(module, "rope_type", None)
        for layer_type, kind in kinds.items() if isinstance(kinds, dict) else [(None, kinds)]:
            if isinstance(kind, str) and (kind == "longrope" or "dynamic" in kind):
                parts.append(_ByLength(module, layer_type, kind))
    return parts


def rotary_of(model: Any, attention: Any, index: int) -> Rotary | None:
    """The rotary embedding of a layer's attention; None if the model has none that returns cos and sin.

    Args:
        model: The transformers model.
        attention: The attention module of the layer.
        index: Of the layer.

    Raises:
        ViewError: the model has one only for layers of other types.
    """
    modules = [attention.rotary_emb] if hasattr(attention, "rotary_emb") else _shared(model)
    if len(modules) > 1:  # some belong to an image or audio tower
        modules = [module for module in modules if getattr(module, "config", None) is attention.config]
    if len(modules) != 1:
        return None
    kinds, layer_type = getattr(modules[0], "rope_type", None), None
    if isinstance(kinds, dict):
        layer_type = attention.config.layer_types[index]
        if layer_type not in kinds:  # positions may be encoded differently there
            kind = attention.config.model_type
            raise ViewError(f"the layers of type {layer_type} of {kind} have no rotary embedding")

    def rotary(positions: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = call(modules[0], layer_type, positions)
        return cos[0].to(positions.device), sin[0].to(positions.device)

    return rotary


def _shared(model: Any) -> list[Any]:
    return [module for name, module in model.named_modules() if name.rpartition(".")[2] == "rotary_emb"]


def call(module: Any, layer_type: str | None, positions: Tensor) -> Any:
    """The output of a rotary module for positions int64 [n], computed in float32."""
    x = torch.zeros(1, device=positions.device)
    return module(x, positions.unsqueeze(0), *([] if layer_type is None else [layer_type]))
