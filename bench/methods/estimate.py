"""Estimates the size of a context's cache from a model's configuration alone."""

from dataclasses import dataclass
from typing import Any

from ... import UserError
from ...db.cache_sizes import CacheSizes, Window
from ..models.config import empty_model
from ..models.config_layers import config_layers, empty_layers, has_states
from ..models.layers import ModelShape
from ..models.load import DTYPES
from ..models.shape import Unsupported
from .budget import Budget


@dataclass(frozen=True)
class CacheShape:
    """The sizes that determine the bytes of a cache.

    Attributes:
        model: The sizes of the layers.
        itemsize: Bytes of a number.
        weight_bytes: Of the model's parameters.
    """

    model: ModelShape
    itemsize: int
    weight_bytes: int = 0

    @property
    def max_positions(self) -> int:
        """Tokens that the model can hold."""
        return self.model.max_positions

    @property
    def sizes(self) -> CacheSizes:
        """What determines the bytes of a sequence."""
        model = self.model
        return CacheSizes(
            numbers_per_token=2 * model.n_layers * model.n_kv_heads * model.head_dim,
            itemsize=self.itemsize,
            windows=tuple(Window(most, numbers) for most, numbers in model.windows),
            state_bytes=model.state_bytes,
        )

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of one token in all layers that are evicted."""
        return self.sizes.kv_bytes_per_token

    def window_bytes(self, n_tokens: int) -> int:
        """Keys and values of a context in all layers with a sliding window, which no budget changes."""
        return self.sizes.window_bytes(n_tokens)

    def full_bytes(self, n_tokens: int) -> int:
        """Keys and values of a whole context, sliding windows and recurrent states included."""
        return self.sizes.full_bytes(n_tokens)


@dataclass(frozen=True)
class Estimate:
    """One budget at one context length.

    Attributes:
        kv_bytes_full: Of the whole context, sliding windows included.
        kv_bytes_kept: After the eviction, sliding windows included.
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
        UserError: some layers keep other than keys, values and recurrent states, so that these numbers would be wrong.
    """
    try:
        shape = empty_layers(name, config, DTYPES[dtype]) if has_states(config) else config_layers(config)
    except Unsupported as error:
        raise UserError(
            f"{name} ({config.model_type}) cannot be estimated: {error}; name a decoder with full attention."
        ) from error
    itemsize = DTYPES[dtype].itemsize
    return CacheShape(shape, itemsize, _n_parameters(name, config) * itemsize)


def estimate(shape: CacheShape, n_tokens: int, budget: Budget, memory_bytes: int | None) -> Estimate:
    """The bytes of a context's cache before and after an eviction, and the batches that fit."""
    full = shape.full_bytes(n_tokens)
    kept = shape.sizes.kept_bytes(n_tokens, budget.per_head(n_tokens))
    if memory_bytes is None:
        return Estimate(n_tokens, budget, full, kept, None, None)
    free = max(memory_bytes - shape.weight_bytes, 0)
    return Estimate(
        n_tokens, budget, full, kept, free // full, (free - full) // max(kept, 1) + 1 if free >= full else 0
    )


def _n_parameters(name: str, config: Any) -> int:
    return sum(parameter.numel() for parameter in empty_model(name, config).parameters())
