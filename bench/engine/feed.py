"""One forward pass over the next chunk of every row."""

import torch
from torch import Tensor

from ..models.load import LoadedModel
from .cache import StoreCache


def feed(loaded: LoadedModel, cache: StoreCache, ids: Tensor, lengths: Tensor, columns: Tensor) -> Tensor:
    """Logits [B, n, vocabulary] after some columns of the chunk.

    Args:
        loaded: The model, switched to store attention.
        cache: The chunk is appended to it; positions continue from `n_seen`.
        ids: int64 [B, Q] on the CPU.
        lengths: int64 [B] on the CPU, how many tokens of the chunk are real in each row.
        columns: int64 [n] on the CPU, the columns whose logits are needed.
    """
    positions = cache.n_seen.unsqueeze(-1) + torch.arange(ids.shape[1])
    logits: Tensor = loaded.model(
        input_ids=ids.to(loaded.device),
        position_ids=positions.to(loaded.device),
        past_key_values=cache.chunk(lengths),
        use_cache=True,
        logits_to_keep=columns.to(loaded.device),
    ).logits
    return logits


def check_finite(logits: Tensor) -> None:
    """Refuse logits that are not finite.

    Raises:
        ArithmeticError: some are infinite or NaN.
    """
    if not bool(logits.isfinite().all()):
        raise ArithmeticError("the model's logits are not finite")
