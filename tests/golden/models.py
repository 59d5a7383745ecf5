"""Tiny models that two environments can both build: the weights come from numpy, by parameter name."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen3Config

VOCABULARY = 397
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
LUKV_LENGTHS, SINK, WINDOW = (131, 389), 4, 1
"""Context lengths and protection of the LU-KV cases."""
MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(**SIZES, num_attention_heads=6, num_key_value_heads=2, head_dim=20),
    "qwen3": lambda: Qwen3Config(**SIZES, num_attention_heads=6, num_key_value_heads=3, head_dim=28),
    "mistral": lambda: MistralConfig(
        **SIZES, num_attention_heads=4, num_key_value_heads=4, head_dim=10, sliding_window=None
    ),
}


def seeded_model(name: str, attention: str = "sdpa") -> Any:
    """A float32 model whose every weight is a function of its name and shape."""
    model = AutoModelForCausalLM.from_config(MODELS[name](), attn_implementation=attention, dtype=torch.float32)
    state = {
        key: torch.from_numpy(_drawn(f"{name}/{key}", tuple(old.shape))) for key, old in model.state_dict().items()
    }
    model.load_state_dict(state)
    return model.eval()


def seeded_ids(n_tokens: int) -> list[int]:
    """Token ids of a context, none twice: equal tokens have keys of equal norm in the first layer, whose scores tie."""
    return [int(i) for i in np.random.default_rng(n_tokens).permutation(VOCABULARY)[:n_tokens]]


def seeded_curve(n_layers: int, n_heads: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """float64 [99, L, H]: a LU-KV curve of very unequal heads, whose mean at target i keeps 1 - (i + 1) / 100."""
    weights = np.random.default_rng(n_layers * n_heads).lognormal(sigma=1.5, size=(n_layers, n_heads))
    curve = np.empty((99, n_layers, n_heads))
    for row in range(99):
        low, high = 0.0, 1 / weights.min()
        for _ in range(100):
            middle = (low + high) / 2
            kept = np.minimum(weights * middle, 1)
            low, high = (middle, high) if kept.mean() < (99 - row) / 100 else (low, middle)
        curve[row] = kept
    return curve


def _drawn(name: str, shape: tuple[int, ...]) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Norm weights around 1; matrices large enough for attention to matter."""
    noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    return (1 + 0.2 * noise if len(shape) == 1 else 0.25 * noise).astype(np.float32)
