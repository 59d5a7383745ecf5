"""Estimates the size of a context's cache from a model's configuration alone."""

from dataclasses import dataclass
from typing import Any

from ... import UserError
from ..models.config import empty_model
from ..models.load import DTYPES
from ..models.shape import max_positions
from .budget import Budget


@dataclass(frozen=True)
class CacheShape:
    """The sizes that determine the bytes of a cache in which every layer keeps keys and values of every token.

    Attributes:
        n_layers: L.
        n_kv_heads: H.
        head_dim: D, of keys and of values.
        itemsize: Bytes of a number.
        weight_bytes: Of the model's parameters.
        max_positions: Tokens that the model can hold.
    """

    n_layers: int
    n_kv_heads: int
    head_dim: int
    itemsize: int
    weight_bytes: int
    max_positions: int

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of one token in all layers and heads."""
        return 2 * self.n_layers * self.n_kv_heads * self.head_dim * self.itemsize


@dataclass(frozen=True)
class Estimate:
    """One budget at one context length.

    Attributes:
        kv_bytes_full: Of the whole context.
        kv_bytes_kept: After the eviction.
        batch_full: Sequences that fit beside the weights with full caches; None = the memory is not known.
        batch_kept: The same with evicted caches, one of them just prefilled and not evicted yet.
    """

    n_tokens: int
    budget: Budget
    kv_bytes_full: int
    kv_bytes_kept: int
    batch_full: int | None
    batch_kept: int | None


def cache_shape(name: str, config: Any, dtype: str) -> CacheShape:
    """Read a configuration.

    Raises:
        UserError: its layers do not all keep keys and values of every token, so that these numbers would be wrong.
    """
    positions = max_positions(config)
    kinds = set(getattr(config, "layer_types", None) or ())
    strange = next(
        (
            reason
            for reason, value in (
                ("its cache is compressed (MLA)", getattr(config, "kv_lora_rank", None)),
                (f"it has layers of other kinds ({', '.join(sorted(kinds))})", kinds - {"full_attention"}),
                ("its attention slides", not kinds and getattr(config, "sliding_window", None)),
                ("its attention is cut in chunks", not kinds and getattr(config, "attention_chunk_size", None)),
            )
            if value
        ),
        None,
    )
    n_heads = getattr(config, "num_attention_heads", None)
    n_kv_heads = getattr(config, "num_key_value_heads", None) or n_heads
    numbers = (n_heads, n_kv_heads, getattr(config, "num_hidden_layers", None), getattr(config, "hidden_size", None))
    if strange is None and not all(isinstance(number, int) and number > 0 for number in numbers):
        strange = "it does not say its layers and heads as a Llama-style decoder does"
    if strange is None and positions is None:
        strange = "it does not say how many tokens it can hold"
    if strange is not None or positions is None:
        raise UserError(f"{name} ({config.model_type}) cannot be estimated: {strange}; name a full-attention decoder.")
    return CacheShape(
        n_layers=config.num_hidden_layers,
        n_kv_heads=int(n_kv_heads or 0),
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // n_heads,
        itemsize=DTYPES[dtype].itemsize,
        weight_bytes=_n_parameters(name, config) * DTYPES[dtype].itemsize,
        max_positions=positions,
    )


def estimate(shape: CacheShape, n_tokens: int, budget: Budget, memory_bytes: int | None) -> Estimate:
    """The bytes of a context's cache before and after an eviction, and the batches that fit."""
    full = shape.kv_bytes_per_token * n_tokens
    kept = shape.kv_bytes_per_token * budget.per_head(n_tokens)
    if memory_bytes is None:
        return Estimate(n_tokens, budget, full, kept, None, None)
    free = max(memory_bytes - shape.weight_bytes, 0)
    return Estimate(
        n_tokens, budget, full, kept, free // full, (free - full) // max(kept, 1) + 1 if free >= full else 0
    )


def _n_parameters(name: str, config: Any) -> int:
    return sum(parameter.numel() for parameter in empty_model(name, config).parameters())
