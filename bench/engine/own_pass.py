"""A model's own pass over a text, module by module, and the comparison of modules over our cache with it."""

from collections import UserDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from ... import UserError
from ..models.load import LoadedModel
from ..models.shape import Unsupported, state_modules

LAYER_ERROR = 1e-4
"""Largest difference of an attention module's output, per unit of its largest value. Both are computed in float32
whatever the model's dtype, from the same inputs, so that only the order of summation differs."""
STATE_ERROR = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 5e-2}
"""The same of a module that has a recurrent state, in the model's dtype, since some kernels take no float32. A lost
state is far more."""

Forward = Callable[..., Any]


class LostState(Unsupported):
    """A module with a recurrent state gives something else over our cache than in the model's own pass."""


def token(loaded: LoadedModel, place: int) -> int:
    """A token of the text: an ordinary one, since the first ids are special."""
    n_ids: int = loaded.model.config.get_text_config(decoder=True).vocab_size
    return (1009 + 997 * place) % n_ids


def _not_finite(loaded: LoadedModel) -> str:
    if loaded.dtype == "float16":
        return f"{loaded.name} overflows in float16 (its own logits are not finite); use --dtype bfloat16 or float32."
    return (
        f"{loaded.name} gives logits that are not finite, in {loaded.dtype} with its own attention; check its weights."
    )


@dataclass
class OwnPass:
    """The inputs and outputs of each module that attends or has a recurrent state, in the model's own pass over a text.

    Attributes:
        ids: The text's.
        n_attending: The modules that attend; those that have a recurrent state come after them.
        logits: Float32 [T, vocabulary].
        hidden: By place of a module the input [1, T, hidden], float32 where it attends.
        output: By place of a module the output [1, T, hidden], float32 where it attends.
        n_compared: By place of a module the tokens already compared.
    """

    ids: list[int]
    n_attending: int
    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    hidden: dict[int, Tensor] = field(default_factory=dict)
    output: dict[int, Tensor] = field(default_factory=dict)
    n_compared: dict[int, int] = field(default_factory=dict)
    _shared: "UserDict[Any, Any]" = field(default_factory=UserDict)

    @staticmethod
    def modules(loaded: LoadedModel) -> list[Any]:
        """The modules that attend, then those that have a recurrent state, each in layer order."""
        return [*loaded.attention_modules, *state_modules(loaded.model, loaded.shape)]

    @classmethod
    def of(cls, loaded: LoadedModel, n_tokens: int) -> "OwnPass":
        """The pass over a text of so many tokens.

        Raises:
            UserError: its logits are not finite.
        """
        own = cls([token(loaded, place) for place in range(n_tokens)], len(loaded.attention_modules))
        with replace_forward(cls.modules(loaded), own.record):
            ids = torch.tensor([own.ids], device=loaded.device)
            own.logits = loaded.model(input_ids=ids, use_cache=False).logits[0].float()
        if not bool(own.logits.isfinite().all()):
            raise UserError(_not_finite(loaded))
        return own

    def record(self, index: int, module: Any, forward: Forward, *args: Any, **kwargs: Any) -> Any:
        """Run the module, and one that attends again in float32."""
        if index in self.hidden:
            raise Unsupported("a layer runs more than once in a pass")
        hidden, rest, named = _split(args, kwargs)
        returned = forward(*args, **kwargs)
        self.hidden[index], self.output[index] = hidden, _first(returned)
        if index < self.n_attending:
            self.hidden[index] = hidden.float()
            again = _in_float32(module, forward, self.hidden[index], *rest, **self._alone(named))
            self.output[index] = _first(again)
        return returned

    def compare(self, index: int, module: Any, forward: Forward, *args: Any, **kwargs: Any) -> Any:
        """Run the module over our cache as it was recorded, with its inputs of the model's own pass.

        Raises:
            LostState: the output of a module that has a recurrent state differs.
            Unsupported: that of another one does.
        """
        hidden, rest, named = _split(args, kwargs)
        start = self.n_compared.get(index, 0)
        stop = self.n_compared[index] = start + hidden.shape[1]
        inputs, attends = self.hidden[index][:, start:stop], index < self.n_attending
        returned = _in_float32(module, forward, inputs, *rest, **named) if attends else forward(inputs, *rest, **named)
        own, ours = self.output[index][:, start:stop].float(), _first(returned).float()
        error = float((own - ours).abs().max() / own.abs().max())
        if not error <= (LAYER_ERROR if attends else STATE_ERROR[hidden.dtype]):
            what = f"attention in layer {index}" if attends else f"the recurrent part of layer {module.layer_idx}"
            message = f"{what} differs from the model's own by {error:.2g} of its largest value"
            raise Unsupported(message) if attends else LostState(message)
        return _cast(returned, hidden.dtype)

    def _alone(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments for a second run of a module: without caches, to which it would append once more, and with the
        second runs' own keys and values where layers borrow those of earlier ones."""
        return {
            name: None if isinstance(value, Cache) else self._shared if isinstance(value, UserDict) else value
            for name, value in kwargs.items()
        }


@contextmanager
def replace_forward(modules: Sequence[Any], run: Callable[..., Any]) -> Iterator[None]:
    """Call `run(layer index, module, forward, *args, **kwargs)` in place of each module's forward."""
    own = [vars(module).get("forward") for module in modules]
    for index, module in enumerate(modules):
        module.forward = partial(run, index, module, module.forward)
    try:
        yield
    finally:
        for module, forward in zip(modules, own, strict=True):
            del module.forward
            if forward is not None:
                module.forward = forward


def _in_float32(module: Any, forward: Forward, *args: Any, **kwargs: Any) -> Any:
    """A forward with the module's weights and all inputs in float32."""
    tensors = [*module.parameters(), *module.buffers()]
    stored = [tensor.data for tensor in tensors]
    try:
        for tensor in tensors:
            tensor.data = _cast(tensor.data, torch.float32)
        return forward(*_cast(args, torch.float32), **_cast(kwargs, torch.float32))
    finally:
        for tensor, data in zip(tensors, stored, strict=True):
            tensor.data = data


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """The value with all its floating-point tensors cast."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {name: _cast(item, dtype) for name, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_cast(item, dtype) for item in value)
    return value


def _split(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, tuple[Any, ...], dict[str, Any]]:
    """(hidden states, other positional arguments, other named arguments) of a call of an attention module."""
    if "hidden_states" in kwargs:
        return kwargs["hidden_states"], args, {k: v for k, v in kwargs.items() if k != "hidden_states"}
    return args[0], args[1:], kwargs


def _first(returned: Any) -> Tensor:
    """The attention module's output, without its weights."""
    output: Tensor = returned[0] if isinstance(returned, tuple) else returned
    return output
