"""Make a loaded model ready for our stores, and refuse one that they would serve wrongly."""

from typing import Any

import torch

from ... import UserError
from ..models.load import LoadedModel, load_model
from .attention import use_store_attention
from .evict import evict, keep_everything
from .prefill import prefill
from .rotary import rotating_for

ALLOWED = {"float32": 1e-3, "float16": 1e-1, "bfloat16": 5e-1}
"""Largest logit difference per 10 units of logit that rounding explains. In half precision the default model's own
two attentions (sdpa and eager) differ by up to 0.16 (float16) and 1.8 (bfloat16) per 10 units."""


def ready_model(name: str, device: torch.device, dtype: str, thinking: bool = False) -> LoadedModel:
    """Load a model, switch it to store attention and prove on a short text that nothing changed by it.

    Raises:
        UserError: unknown, corrupt or unsupported model.
    """
    loaded = load_model(name, device, dtype, thinking)
    prove_attention(loaded)
    return loaded


@torch.inference_mode()
def prove_attention(loaded: LoadedModel) -> None:
    """Switch to store attention; hold a short prefill, eviction of nothing and chunk against the model's own pass.

    What a model's own attention does besides the usual shows in its arguments (refused there) or only in this
    comparison.

    Raises:
        UserError: the logits differ by more than rounding.
    """
    model: Any = loaded.model
    spread = torch.arange(12, device=loaded.device) * 997 + 1009  # ordinary tokens; the first ids are special ones
    ids = spread.unsqueeze(0) % model.config.vocab_size
    own = model(input_ids=ids, use_cache=False).logits.float()
    use_store_attention(model)
    context = prefill(loaded, ids[0, :8].tolist(), {}, n_sequence=12)
    cache = evict(context, keep_everything(context), room=4)
    with rotating_for(model, n_sequence=12, n_fed=12):
        ours = model(
            input_ids=ids[:, 8:], position_ids=torch.arange(8, 12, device=ids.device)[None], past_key_values=cache
        ).logits.float()
    own = own[:, 8:]
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
            f"use a --length (LongBench: --max-length) of at most {window} or another model."
        )


def longest_sequence(loaded: LoadedModel) -> int:
    """Tokens of context, question and answer together that store attention serves."""
    window = _sliding_window(loaded.model.config)
    return loaded.shape.max_positions if window is None else min(window, loaded.shape.max_positions)


def _sliding_window(config: Any) -> int | None:
    """The window or chunk in tokens if any layer of the model looks no further, else None."""
    chunk: int | None = getattr(config, "attention_chunk_size", None)
    window: int | None = getattr(config, "sliding_window", None)
    kinds: list[str] | None = getattr(config, "layer_types", None)
    slides = kinds is None or any("sliding" in kind for kind in kinds)
    if not slides or getattr(config, "use_sliding_window", True) is False:
        window = None
    return min((size for size in (chunk, window) if size is not None), default=None)
