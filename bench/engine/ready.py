"""Make a loaded model ready for our stores, and refuse one that they would serve wrongly."""

from typing import Any

import torch
from transformers.cache_utils import Cache

from ... import UserError
from ..models.load import LoadedModel, load_model
from .attention import use_store_attention
from .cache import PrefillLayer

ALLOWED = {"float32": 1e-3, "float16": 3e-2, "bfloat16": 2e-1}
"""Largest logit difference per 10 units of logit that rounding explains."""


def ready_model(name: str, device: torch.device, dtype: str) -> LoadedModel:
    """Load a model, switch it to store attention and prove on a short text that nothing changed by it.

    Raises:
        UserError: unknown, corrupt or unsupported model.
    """
    loaded = load_model(name, device, dtype)
    prove_attention(loaded)
    return loaded


@torch.inference_mode()
def prove_attention(loaded: LoadedModel) -> None:
    """Switch to store attention and hold one short pass of it against the model's own.

    Softcaps, attention sinks and the like are arguments that a registered attention function never hears of:
    only the comparison tells.

    Raises:
        UserError: the logits differ by more than rounding.
    """
    model: Any = loaded.model
    ids = torch.arange(1, 13, device=loaded.device).unsqueeze(0) % model.config.vocab_size
    own = model(input_ids=ids, use_cache=False).logits.float()
    use_store_attention(model)
    layers = [PrefillLayer(index, lambda *_: None) for index in range(loaded.shape.n_layers)]
    ours = model(input_ids=ids, past_key_values=Cache(layers=[*layers]), use_cache=True).logits.float()
    error = float((own - ours).abs().max())
    if not error <= ALLOWED[loaded.dtype] * max(1.0, float(own.abs().max()) / 10):
        raise UserError(
            f"{loaded.name} ({model.config.model_type}) attends in a way this suite does not carry out yet (logits "
            f"differ by {error:.3g} on a short text); use a Llama-, Qwen- or Mistral-style decoder."
        )


def refuse_sliding_window(loaded: LoadedModel, n_tokens: int) -> None:
    """Refuse a sequence that a sliding window would cut: store attention sees every kept token.

    Raises:
        UserError: the model's window is shorter than the sequence.
    """
    window = _sliding_window(loaded.model.config)
    if window is not None and window < n_tokens:
        raise UserError(
            f"{loaded.name} attends to a sliding window of {window} tokens, and this sequence has {n_tokens}; "
            f"use a --length of at most {window} or another model."
        )


def _sliding_window(config: Any) -> int | None:
    """The window in tokens if any layer of the model slides, else None."""
    window = getattr(config, "sliding_window", None)
    if window is None or getattr(config, "use_sliding_window", True) is False:
        return None
    kinds: list[str] | None = getattr(config, "layer_types", None)
    slides = kinds is None or any("sliding" in kind for kind in kinds)
    return int(window) if slides else None
