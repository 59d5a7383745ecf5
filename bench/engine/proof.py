"""Checks that a model computes the same over our stores as with its own attention and cache."""

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
from ..models.shape import Unsupported
from .attention import PartialMask, use_store_attention
from .evict import evict, keep_everything
from .packing import Packing
from .prefill import prefill
from .rotary import rotating_for

N_TOKENS = 24
"""Tokens of the text, fewer where a window is shorter; two thirds of them are its context."""
LAYER_ERROR = 1e-4
"""Largest difference of an attention module's output, per unit of its largest value. Both are computed in float32
whatever the model's dtype, from the same inputs, so that only the order of summation differs."""
LOGITS_ERROR = {"float32": 1e-3, "float16": 1e-1, "bfloat16": 3e-1}
"""Root mean square difference of the logits per unit of their standard deviation. Rounding adds up over the layers; a
model that keeps state outside of its attention modules differs by far more."""

Forward = Callable[..., Any]


@torch.inference_mode()
def prove(loaded: LoadedModel) -> int:
    """Switch to store attention and compare it with the model's own: each attention module alone, then the logits.

    Returns:
        The longest sequence in which every token attends to all before it, at most the model's positions.

    Raises:
        Unsupported: something differs by more than rounding.
        UserError: its logits are not finite.
    """
    model: Any = loaded.model
    spread = torch.arange(N_TOKENS) * 997 + 1009  # ordinary tokens; the first ids are special ones
    ids = (spread % model.config.get_text_config(decoder=True).vocab_size).tolist()
    own = _OwnPass()
    with _replace_forward(loaded.attention_modules, own.record):
        expected = model(input_ids=torch.tensor([ids], device=loaded.device), use_cache=False).logits[0].float()
    if not bool(expected.isfinite().all()):
        raise UserError(_not_finite(loaded))
    use_store_attention(model)
    reach = _reach(loaded, ids[0])
    n_tokens = min(N_TOKENS, reach)
    ids = ids[:n_tokens]
    with _replace_forward(loaded.attention_modules, own.compare):
        _logits_over_stores(loaded, ids)
    expected = expected[:n_tokens]
    error = _logits_error(_logits_over_stores(loaded, ids), expected)
    if not error <= LOGITS_ERROR[loaded.dtype]:
        if _logits_error(_logits_over_stores(loaded, ids, positions=False), expected) <= LOGITS_ERROR[loaded.dtype]:
            raise Unsupported(
                "it does not count positions from 0 (RoBERTa's kind begins behind the padding token's id)"
            )
        raise Unsupported(
            f"its logits over this suite's cache are {error:.2g} standard deviations from its own on a short text"
        )
    return reach


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
            raise Unsupported("its layers differ in KV heads or head dim")
    cache = evict(context, keep_everything(context), room=len(ids) - n_context)
    chunk = torch.tensor([ids[n_context:]], device=loaded.device)
    position_ids = torch.arange(n_context, len(ids), device=loaded.device).unsqueeze(0) if positions else None
    chunk_cache = cache.chunk(Packing.of(chunk.tolist()))
    with rotating_for(loaded.model, n_sequence=len(ids), n_fed=len(ids)):
        out = loaded.model(input_ids=chunk, position_ids=position_ids, past_key_values=chunk_cache, use_cache=True)
    logits: Tensor = out.logits[0].float()
    return logits


def _logits_error(ours: Tensor, own: Tensor) -> float:
    own = own[-len(ours) :]
    return float((ours - own).square().mean().sqrt() / own.std())


def _reach(loaded: LoadedModel, token: int) -> int:
    """The longest sequence for which every layer's mask is causal."""
    masks: list[PartialMask] = []

    def collect_masks(_index: int, _module: Any, forward: Forward, *args: Any, **kwargs: Any) -> Any:
        masks.extend(value for value in (*args, *kwargs.values()) if isinstance(value, PartialMask))
        return forward(*args, **kwargs)

    with _replace_forward(loaded.attention_modules, collect_masks):
        prefill(loaded, [token], {})
    limit = loaded.shape.max_positions
    reach = min((mask.reach(limit) for mask in masks), default=limit)
    if reach < 3:
        raise Unsupported(f"its tokens attend to no more than {reach} tokens")
    return reach


@dataclass
class _OwnPass:
    """The inputs and outputs of each attention module in the model's own pass.

    Attributes:
        hidden: By layer the input, float32 [1, T, hidden].
        output: By layer the output, float32 [1, T, hidden].
        n_compared: By layer the tokens already compared.
    """

    hidden: dict[int, Tensor] = field(default_factory=dict)
    output: dict[int, Tensor] = field(default_factory=dict)
    n_compared: dict[int, int] = field(default_factory=dict)

    def record(self, index: int, module: Any, forward: Forward, *args: Any, **kwargs: Any) -> Any:
        """Run the module, and again in float32."""
        if index in self.hidden:
            raise Unsupported("a layer runs more than once in a pass")
        hidden, rest, named = _split(args, kwargs)
        returned = forward(*args, **kwargs)
        self.hidden[index], self.n_compared[index] = hidden.float(), 0
        self.output[index] = _first(_in_float32(module, forward, self.hidden[index], *rest, **_no_cache(named)))
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


def _no_cache(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments with caches set to None: the module would append to them a second time."""
    return {name: None if isinstance(value, Cache) else value for name, value in kwargs.items()}


def _first(returned: Any) -> Tensor:
    """The attention module's output, without its weights."""
    output: Tensor = returned[0] if isinstance(returned, tuple) else returned
    return output
