"""The shape of a decoder's cache, read from its attention modules and from its own cache after one token."""

import inspect
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import (
    Cache,
    DummyLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
    LinearAttentionLayer,
)
from transformers.pytorch_utils import Conv1D

from ... import UserError
from ..errors import reason_of
from .layers import LayerShape, ModelShape, layered
from .states import state_bytes

CACHE_ARGUMENTS = {"past_key_values", "cache_params"}
"""Names of the cache where transformers' modules take one."""
STATEFUL = (LinearAttentionAndFullAttentionLayer, LinearAttentionAndSlidingWindowAttentionLayer)
"""transformers' cache layers that hold a recurrent state beside keys and values."""
OUTPUT_PROJECTIONS = ("o_proj", "out_proj", "dense", "c_proj", "Wo", "attention_output")
"""Names of the output projection in transformers' attention modules."""


class Unsupported(Exception):
    """The model uses something that this suite's cache or attention does not support; the message names it."""


def attention_modules(model: Any) -> list[Any]:
    """The self-attention module of each layer, in layer order.

    Attention modules of transformers are recognised by a layer index and a scale. If a layer also attends to an
    encoder, its self-attention comes first.
    """
    by_layer: dict[int, Any] = {}
    for module in model.modules():
        if hasattr(module, "layer_idx") and hasattr(module, "scaling") and module.layer_idx is not None:
            by_layer.setdefault(int(module.layer_idx), module)
    return [by_layer[index] for index in sorted(by_layer)]


def state_modules(model: Any, shape: ModelShape) -> list[Any]:
    """The modules that have a recurrent state, in order: the innermost ones that know their layer and take a cache,
    outside of self-attention.

    Raises:
        Unsupported: a layer that has a state and does not attend is without one.
    """
    taking = [
        module
        for module in model.modules()
        if getattr(module, "layer_idx", None) in shape.stateful
        and not CACHE_ARGUMENTS.isdisjoint(inspect.signature(module.forward).parameters)
    ]
    ids = {id(module) for module in taking}
    not_ours = {id(inner) for module in attention_modules(model) for inner in module.modules()}
    not_ours |= {id(one) for one in taking if any(id(inner) in ids for inner in one.modules() if inner is not one)}
    found = [module for module in taking if id(module) not in not_ours]
    found_in = {module.layer_idx for module in found}
    for index in shape.stateful:
        if shape.layers[index].kind == "none" and index not in found_in:
            raise Unsupported(f"the recurrent part of layer {index} cannot be told from its modules")
    return found


def output_projection(module: Any) -> Any | None:
    """An attention module's output projection; None if the module has none under a known name."""
    return next((getattr(module, name) for name in OUTPUT_PROJECTIONS if hasattr(module, name)), None)


def output_weights(module: Any, n_query_heads: int, dim: int) -> Tensor | None:
    """The output projection of each head of an attention module, [HQ, D, hidden]; None if it is not one matrix."""
    projection = output_projection(module)
    weight = getattr(projection, "weight", None)
    if not isinstance(weight, Tensor) or weight.dim() != 2:
        return None
    weight = weight if isinstance(projection, Conv1D) else weight.T
    return weight.reshape(n_query_heads, dim, -1) if weight.shape[0] == n_query_heads * dim else None


def max_positions(config: Any) -> int | None:
    """How many tokens a model says it can hold."""
    text = config.get_text_config(decoder=True)
    stated = getattr(text, "max_position_embeddings", None) or getattr(text, "max_seq_len", None)
    return stated if isinstance(stated, int) else None


@torch.inference_mode()
def read_shape(name: str, model: Any) -> ModelShape:
    """The shape of a model's cache, read off the cache that it makes itself for one token. A window in it is what that
    cache holds; which layers slide is read off the model's masks (`engine.windows`).

    Raises:
        UserError: it keeps something other than keys and values.
    """
    with one_sentence(name, model):
        config = model.config.get_text_config(decoder=True)
        if layered(config, "kv_lora_rank"):
            raise Unsupported("it attends by latent vectors (MLA), which have no KV heads of their own to evict")
        ids = torch.tensor([[1009 % config.vocab_size]], device=model.device)
        cache = model(input_ids=ids, use_cache=True).get("past_key_values")
        if not isinstance(cache, Cache):
            raise Unsupported("it keeps no cache of keys and values")
        attending = {int(module.layer_idx) for module in attention_modules(model)}
        n_query_heads = layered(config, "num_attention_heads")
        each = n_query_heads if isinstance(n_query_heads, list) else [n_query_heads] * len(cache.layers)
        layers = [_layer(index, layer, attending, each[index]) for index, layer in enumerate(cache.layers)]
        if attending != {index for index, layer in enumerate(layers) if layer.attends}:
            raise Unsupported("it does not attend through transformers' attention interface once a layer")
        if not any(layer.kind == "full" for layer in layers):
            raise Unsupported("it keeps no cache of keys and values")
        positions = max_positions(config)
        if positions is None:
            raise Unsupported("it does not say how many tokens it can hold")
        return ModelShape.of(layers, positions)


def _layer(index: int, layer: Any, attending: Collection[int], n_query_heads: int) -> LayerShape:
    """What a layer keeps, read off the model's own cache of it."""
    if type(layer) is DummyLayer:
        return LayerShape("borrowed" if index in attending else "none")
    states = {"n_states": layer.number_of_states, "state_bytes": state_bytes(layer)} if _has_states(layer) else {}
    if type(layer) is LinearAttentionLayer:
        return LayerShape("none", **states)
    if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer, *STATEFUL):
        raise Unsupported(f"layer {index} keeps {_other_state(layer)}")
    if layer.keys is None or layer.keys.dim() != 4 or layer.keys.shape[2] != 1:
        raise Unsupported(f"layer {index} keeps no keys of its own for each token")
    if layer.keys.shape[-1] != layer.values.shape[-1]:
        dims = f"{layer.keys.shape[-1]} and {layer.values.shape[-1]}"
        raise Unsupported(f"its keys and values differ in size ({dims} numbers a head)")
    window = layer.sliding_window if isinstance(layer, DynamicSlidingWindowLayer) else None
    return LayerShape("full", layer.keys.shape[1], layer.keys.shape[3], n_query_heads, window, **states)


def _has_states(layer: Any) -> bool:
    return type(layer) in (LinearAttentionLayer, *STATEFUL)


def _other_state(layer: Any) -> str:
    """What a cache layer of another kind keeps."""
    if hasattr(layer, "recurrent_states"):
        return "a recurrent or convolution state"
    if hasattr(layer, "update_indexer"):
        return "keys of an index that selects tokens"
    return f"no plain keys and values ({type(layer).__name__})"


@contextmanager
def one_sentence(name: str, model: Any) -> Iterator[None]:
    """Turn any exception within the block into one sentence about the model.

    Raises:
        UserError: the block raised.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a model's own code may raise anything
        reason = (
            str(error)
            if isinstance(error, Unsupported)
            else f"its own code fails ({reason_of(error)[:200].rstrip(' .:')})"
        )
        raise _unsupported(name, model.config.model_type, reason) from error


def _unsupported(name: str, model_type: str, reason: str) -> UserError:
    return UserError(f"{name} ({model_type}) cannot be served: {reason}; use a Llama-, Qwen- or Mistral-style decoder.")
