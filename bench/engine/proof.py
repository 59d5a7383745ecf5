"""Checks that a model computes the same over our stores as with its own attention and cache."""

from collections import UserDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from ... import UserError
from ..models.layers import ModelShape
from ..models.load import LoadedModel
from ..models.shape import Unsupported
from .attention import use_store_attention
from .evict import evict, keep_everything
from .packing import Packing
from .prefill import prefill
from .rotary import rotating_for
from .windows import PartialMask, narrowed, own_reach, with_windows

N_TOKENS = 24
"""Tokens of the text, fewer where a chunk is shorter; two thirds of them are its context."""
NARROW = 7
"""Tokens of a sliding window during the proof where it is longer than the text: the text goes beyond it then."""
LAYER_ERROR = 1e-4
"""Largest difference of an attention module's output, per unit of its largest value. Both are computed in float32
whatever the model's dtype, from the same inputs, so that only the order of summation differs."""
LOGITS_ERROR = {"float32": 1e-3, "float16": 1e-1, "bfloat16": 3e-1}
"""Root mean square difference of the logits per unit of their standard deviation. Rounding adds up over the layers; a
model that keeps state outside of its attention modules differs by far more."""

Forward = Callable[..., Any]


@torch.inference_mode()
def prove(loaded: LoadedModel) -> LoadedModel:
    """Switch to store attention and compare it with the model's own: each attention module alone, then the logits.

    Returns:
        The model, with the windows of its layers in its shape, and its reach: the longest sequence in which every token
        of a layer that is evicted attends to all before it, at most the model's positions.

    Raises:
        Unsupported: something differs by more than rounding.
        UserError: its logits are not finite.
    """
    own_attention = loaded.model.config.get_text_config(decoder=True)._attn_implementation
    own = _OwnPass.of(loaded, N_TOKENS)
    use_store_attention(loaded.model)
    shape, reach = _windows(loaded)
    proven = replace(loaded, shape=shape, reach=min(reach, own_reach(loaded.shape, shape)))
    longest = max((layer.window or 0 for layer in shape.layers), default=0)
    if longest < N_TOKENS:
        _compare(proven, own, min(N_TOKENS, reach))
        return proven
    with narrowed(loaded.model, NARROW):
        shape, _ = _windows(loaded)
        if all(layer.window in (None, NARROW) for layer in shape.layers):
            _compare_anew(replace(proven, shape=shape), own_attention, min(N_TOKENS, reach))
            return proven
    _compare_anew(proven, own_attention, min(longest + N_TOKENS, reach))
    return proven


def _compare_anew(loaded: LoadedModel, own_attention: str, n_tokens: int) -> None:
    """Compare on a text of another length, or with other windows than before. Raises as `prove`."""
    loaded.model.set_attn_implementation(own_attention)
    own = _OwnPass.of(loaded, n_tokens)
    use_store_attention(loaded.model)
    _compare(loaded, own, n_tokens)


def _compare(loaded: LoadedModel, own: "_OwnPass", n_tokens: int) -> None:
    """Compare the attention over stores with that of the model's own pass, on its first tokens. Raises as `prove`."""
    ids, expected = own.ids[:n_tokens], own.logits[:n_tokens]
    with _replace_forward(loaded.attention_modules, own.compare):
        _logits_over_stores(loaded, ids)
    error = _logits_error(_logits_over_stores(loaded, ids), expected)
    if not error <= LOGITS_ERROR[loaded.dtype]:
        if _logits_error(_logits_over_stores(loaded, ids, positions=False), expected) <= LOGITS_ERROR[loaded.dtype]:
            raise Unsupported(
                "it does not count positions from 0 (RoBERTa's kind begins behind the padding token's id)"
            )
        raise Unsupported(
            f"its logits over this suite's cache are {error:.2g} standard deviations from its own on a short text"
        )


def _not_finite(loaded: LoadedModel) -> str:
    if loaded.dtype == "float16":
        return f"{loaded.name} overflows in float16 (its own logits are not finite); use --dtype bfloat16 or float32."
    return (
        f"{loaded.name} gives logits that are not finite, in {loaded.dtype} with its own attention; check its weights."
    )


def _logits_over_stores(loaded: LoadedModel, ids: Sequence[int], positions: bool = True) -> Tensor:
    """Logits float32 [Q, vocabulary] of a chunk, after a prefill and an eviction that keeps everything.

    Args:
        positions: Whether the chunk's positions are passed, as in decoding; else the model counts them itself.
    """
    n_context = len(ids) * 2 // 3
    context = prefill(loaded, ids[:n_context], {}, n_sequence=len(ids))
    for layer in context.keys:
        if layer.shape[1::2] != (loaded.shape.n_kv_heads, loaded.shape.head_dim):
            raise Unsupported("its layers that are evicted differ in KV heads or head dim")
    cache = evict(context, keep_everything(context), room=len(ids) - n_context, backend=loaded.backend)
    chunk = torch.tensor([ids[n_context:]], device=loaded.device)
    position_ids = torch.arange(n_context, len(ids), device=loaded.device).unsqueeze(0) if positions else None
    chunk_cache = cache.chunk(Packing.of(chunk.tolist()))
    with rotating_for(loaded.model, n_sequence=len(ids), n_fed=len(ids)):
        out = loaded.model(
            input_ids=chunk,
            position_ids=position_ids,
            past_key_values=chunk_cache,
            use_cache=True,
            logits_to_keep=[*range(len(ids) - n_context)],  # as in `prefill`
        )
    logits: Tensor = out.logits[0].float()
    return logits


def _logits_error(ours: Tensor, own: Tensor) -> float:
    own = own[-len(ours) :]
    return float((ours - own).square().mean().sqrt() / own.std())


def _windows(loaded: LoadedModel) -> tuple[ModelShape, int]:
    """The model's shape with its windows, and its reach, read off the masks of one token."""
    masks: dict[int, PartialMask] = {}

    def collect_mask(_index: int, module: Any, forward: Forward, *args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            if isinstance(value, PartialMask):
                masks[int(module.layer_idx)] = value
        return forward(*args, **kwargs)

    with _replace_forward(loaded.attention_modules, collect_mask):
        prefill(loaded, [_token(loaded, 0)], {})
    return with_windows(loaded.shape, masks)


def _token(loaded: LoadedModel, place: int) -> int:
    """A token of the text: an ordinary one, since the first ids are special."""
    n_ids: int = loaded.model.config.get_text_config(decoder=True).vocab_size
    return (1009 + 997 * place) % n_ids


@dataclass
class _OwnPass:
    """The inputs and outputs of each attention module in the model's own pass over a text.

    Attributes:
        ids: The text's.
        logits: Float32 [T, vocabulary].
        hidden: By layer the input, float32 [1, T, hidden].
        output: By layer the output, float32 [1, T, hidden].
        n_compared: By layer the tokens already compared.
    """

    ids: list[int]
    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    hidden: dict[int, Tensor] = field(default_factory=dict)
    output: dict[int, Tensor] = field(default_factory=dict)
    n_compared: dict[int, int] = field(default_factory=dict)
    _shared: "UserDict[Any, Any]" = field(default_factory=UserDict)

    @classmethod
    def of(cls, loaded: LoadedModel, n_tokens: int) -> "_OwnPass":
        """The pass over a text of so many tokens.

        Raises:
            UserError: its logits are not finite.
        """
        own = cls([_token(loaded, place) for place in range(n_tokens)])
        with _replace_forward(loaded.attention_modules, own.record):
            ids = torch.tensor([own.ids], device=loaded.device)
            own.logits = loaded.model(input_ids=ids, use_cache=False).logits[0].float()
        if not bool(own.logits.isfinite().all()):
            raise UserError(_not_finite(loaded))
        return own

    def record(self, index: int, module: Any, forward: Forward, *args: Any, **kwargs: Any) -> Any:
        """Run the module, and again in float32."""
        if index in self.hidden:
            raise Unsupported("a layer runs more than once in a pass")
        hidden, rest, named = _split(args, kwargs)
        returned = forward(*args, **kwargs)
        self.hidden[index], self.n_compared[index] = hidden.float(), 0
        again = _in_float32(module, forward, self.hidden[index], *rest, **self._alone(named))
        self.output[index] = _first(again)
        return returned

    def compare(self, index: int, module: Any, forward: Forward, *args: Any, **kwargs: Any) -> Any:
        """Run the module in float32 over our cache, with its inputs of the model's own pass.

        Raises:
            Unsupported: its output differs.
        """
        hidden, rest, named = _split(args, kwargs)
        start = self.n_compared[index]
        stop = self.n_compared[index] = start + hidden.shape[1]
        returned = _in_float32(module, forward, self.hidden[index][:, start:stop], *rest, **named)
        own, ours = self.output[index][:, start:stop], _first(returned)
        error = float((own - ours).abs().max() / own.abs().max())
        if not error <= LAYER_ERROR:
            raise Unsupported(
                f"attention in layer {index} differs from the model's own by {error:.2g} of its largest value"
            )
        return _cast(returned, hidden.dtype)

    def _alone(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments for a second run of a module: without caches, to which it would append once more, and with the
        second runs' own keys and values where layers borrow those of earlier ones."""
        return {
            name: None if isinstance(value, Cache) else self._shared if isinstance(value, UserDict) else value
            for name, value in kwargs.items()
        }


@contextmanager
def _replace_forward(modules: Sequence[Any], run: Callable[..., Any]) -> Iterator[None]:
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
