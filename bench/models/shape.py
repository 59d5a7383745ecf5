"""The shape of a decoder's cache, read from its attention modules and from its own cache after one token."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer
from transformers.pytorch_utils import Conv1D

from ... import UserError
from ..errors import reason_of

OUTPUT_PROJECTIONS = ("o_proj", "out_proj", "dense", "c_proj", "Wo", "attention_output")
"""Names of the output projection in transformers' attention modules."""


@dataclass(frozen=True)
class ModelShape:
    """The sizes that determine a decoder's cache."""

    n_layers: int
    n_kv_heads: int
    n_query_heads: int
    head_dim: int
    max_positions: int


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


def check_layers_alike(name: str, config: Any) -> None:
    """Refuse a configuration whose layers differ, as Gemma 4's local and global ones.

    Raises:
        UserError: they differ.
    """
    text = config.get_text_config(decoder=True)
    if differing := getattr(text, "per_layer_attributes", None):
        raise _unsupported(name, text.model_type, f"its layers differ in {', '.join(sorted(differing))}")


@torch.inference_mode()
def read_shape(name: str, model: Any) -> ModelShape:
    """The shape of a model's cache, read off the cache that it makes itself for one token.

    Raises:
        UserError: it keeps something other than keys and values of one size in every layer.
    """
    with one_sentence(name, model):
        config = model.config.get_text_config(decoder=True)
        ids = torch.tensor([[1009 % config.vocab_size]], device=model.device)
        cache = model(input_ids=ids, use_cache=True).get("past_key_values")
        if not isinstance(cache, Cache):
            raise Unsupported("it keeps no cache of keys and values")
        n_kv_heads, head_dim = _heads(cache.layers)
        if len(attention_modules(model)) != len(cache.layers):
            raise Unsupported("it does not attend through transformers' attention interface once a layer")
        positions = max_positions(config)
        if positions is None:
            raise Unsupported("it does not say how many tokens it can hold")
        return ModelShape(len(cache.layers), n_kv_heads, int(config.num_attention_heads), head_dim, positions)


def _heads(layers: Sequence[Any]) -> tuple[int, int]:
    """(KV heads, head dim) of every layer alike."""
    sizes = set()
    for index, layer in enumerate(layers):
        if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer):
            raise Unsupported(f"layer {index} keeps {_other_state(layer)}")
        if layer.keys is None or layer.keys.dim() != 4 or layer.keys.shape[2] != 1:
            raise Unsupported(f"layer {index} keeps no keys of its own for each token")
        if layer.keys.shape[-1] != layer.values.shape[-1]:
            dims = f"{layer.keys.shape[-1]} and {layer.values.shape[-1]}"
            raise Unsupported(f"its keys and values differ in size ({dims} numbers a head)")
        sizes.add((layer.keys.shape[1], layer.keys.shape[3]))
    if len(sizes) != 1:
        different = ", ".join(f"{heads} x {dim}" for heads, dim in sorted(sizes)) or "none"
        raise Unsupported(f"its layers differ in KV heads x head dim ({different})")
    return sizes.pop()


def _other_state(layer: Any) -> str:
    """What a cache layer of another kind keeps."""
    if hasattr(layer, "recurrent_states"):
        return "a recurrent or convolution state"
    if hasattr(layer, "update_indexer"):
        return "keys of an index that selects tokens"
    if type(layer).__name__ == "DummyLayer":  # by name: transformers before 5.23 has none
        return "no keys and values of its own (layers that share those of an earlier one are not carried out)"
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
