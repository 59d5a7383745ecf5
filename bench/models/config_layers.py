"""What each layer keeps, read off a configuration alone, before there are weights."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .config import empty_model
from .layers import LayerShape, ModelShape, layered
from .shape import Unsupported, max_positions, read_shape

if TYPE_CHECKING:
    import torch

STATEFUL = frozenset({"conv", "linear_attention", "hybrid", "hybrid_sliding"})
"""transformers' names of layers that hold a recurrent state."""
NO_LAYER = "the attention of all its layers slides, so that none is evicted beyond the window"


def has_states(config: Any) -> bool:
    """Whether layers of the model that a configuration describes hold a recurrent state."""
    from transformers.cache_utils import get_layer_types_and_kwargs

    kinds, _ = get_layer_types_and_kwargs(config.get_text_config(decoder=True))
    return not STATEFUL.isdisjoint(kinds)


def empty_layers(name: str, config: Any, dtype: "torch.dtype") -> ModelShape:
    """The shape of the model that a configuration describes, read off the cache that it makes itself for one token on
    the meta device: no memory is taken and nothing computed. A configuration does not say how large a state is.

    Args:
        name: The model, for messages.
        config: It is not changed.
        dtype: Of the weights; that of a state is the model's own affair.

    Raises:
        Unsupported: no layer is evicted beyond its window.
        UserError: it keeps something other than keys, values and states, or its code cannot run without memory.
    """
    model = empty_model(name, config, dtype).eval()
    model.set_experts_implementation("batched_mm")  # the grouped one has no meta form in float32
    shape = read_shape(name, model)
    layers = [
        replace(layer, kind="window") if layer.window is not None and layer.window < shape.max_positions else layer
        for layer in shape.every_layer
    ]
    if not any(layer.kind == "full" for layer in layers):
        raise Unsupported(NO_LAYER)
    return ModelShape.of(layers, shape.max_positions)


def config_layers(config: Any) -> ModelShape:
    """The shape of the model that a configuration describes. Layers that slide in every layer are not told apart here:
    see `engine.windows`.

    Raises:
        Unsupported: it does not say so, or some layers keep other than keys and values.
    """
    from transformers.cache_utils import get_layer_types_and_kwargs

    text = config.get_text_config(decoder=True)
    positions = max_positions(text)
    if layered(text, "kv_lora_rank"):
        raise Unsupported("its cache is compressed (MLA)")
    names = ("num_attention_heads", "num_hidden_layers", "hidden_size")
    numbers = [layered(text, name) for name in names if not isinstance(layered(text, name), list)]
    if not all(isinstance(number, int) and number > 0 for number in numbers):
        raise Unsupported("it does not say its layers and heads as a Llama-style decoder does")
    if positions is None:
        raise Unsupported("it does not say how many tokens it can hold")
    kinds, settings = get_layer_types_and_kwargs(text)
    layers = [
        _layer(kind, own, one.get("sliding_window"), positions)
        for kind, own, one in zip(kinds, text.per_layer_config, settings, strict=True)
    ]
    if not any(layer.kind == "full" for layer in layers):
        raise Unsupported(NO_LAYER)
    return ModelShape.of(layers, positions)


def _layer(kind: str, config: Any, window: int | None, positions: int) -> LayerShape:
    if kind == "dummy":
        return LayerShape("borrowed")
    if kind == "chunked_attention":
        raise Unsupported("its attention is cut in chunks")
    if kind not in ("full_attention", "sliding_attention"):
        raise Unsupported(f"it has layers of other kinds ({kind}), and does not say how much these hold")
    n_query_heads = config.num_attention_heads
    n_kv_heads = getattr(config, "num_key_value_heads", None) or n_query_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // n_query_heads
    if window is None or window >= positions:
        return LayerShape("full", n_kv_heads, head_dim, n_query_heads)
    return LayerShape("window", n_kv_heads, head_dim, n_query_heads, window)
