"""One forward pass over the next chunk of every row."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..models.load import LoadedModel
from .cache import StoreCache
from .packing import Apart, Packing

MESSAGE = "the model's logits are not finite"


def feed(loaded: LoadedModel, cache: StoreCache, chunks: Sequence[Sequence[int]], n_last: Sequence[int]) -> Tensor:
    """Logits [sum of n_last, vocabulary] after the last tokens of each chunk, row after row.

    The chunks pass through the model as one line, whatever their lengths; where layers have recurrent states, as a line
    each, and then they have equally many tokens.

    Args:
        loaded: The model, switched to store attention.
        cache: The chunks are appended to it; positions continue from `n_seen`.
        chunks: Token ids of each row, none empty.
        n_last: After how many of its last tokens each row's logits are needed, at least one in all.
    """
    if not loaded.one_by_one or not bool(cache.n_seen.any()):
        return _pass(loaded, cache, chunks, n_last)
    level, columns = Apart.of(chunks), list[Tensor]()
    needed = set(level.last(n_last).tolist())
    for place in range(level.longest):
        column = _pass(loaded, cache, [chunk[place : place + 1] for chunk in chunks], [1] * len(chunks))
        if place in needed:
            columns.append(column)
    return torch.stack(columns, dim=1).flatten(0, 1)


PIECE = 64
"""Tokens that `feed_pieces` feeds in one pass. It bounds attention weights that are watched, PIECE x cached tokens for
each head."""


def feed_pieces(loaded: LoadedModel, cache: StoreCache, ids: Sequence[int]) -> None:
    """Feed the tokens of one row piece by piece, for what is watched meanwhile."""
    for start in range(0, len(ids), PIECE):
        feed(loaded, cache, [ids[start : start + PIECE]], [1])


def _pass(loaded: LoadedModel, cache: StoreCache, chunks: Sequence[Sequence[int]], n_last: Sequence[int]) -> Tensor:
    packing = (Apart if cache.has_states else Packing).of(chunks)
    ids = torch.tensor([token for chunk in chunks for token in chunk])
    logits: Tensor = loaded.model(
        input_ids=packing.lines(ids).to(loaded.device),
        position_ids=packing.lines(packing.continued(cache.n_seen)).to(loaded.device),
        past_key_values=cache.chunk(packing),
        use_cache=True,
        logits_to_keep=packing.last(n_last).tolist(),  # the head may be on another device than the inputs
    ).logits
    return logits.flatten(0, 1)


def check_finite(logits: Tensor) -> None:
    """Refuse logits that are not finite.

    Raises:
        ArithmeticError: some are infinite or NaN.
    """
    if not bool(finite(logits).all()):
        raise ArithmeticError(MESSAGE)


def finite(logits: Tensor) -> Tensor:
    """bool [n]: whether all logits of a row are finite, given [n, vocabulary]. Nothing of their size is made."""
    lowest, highest = logits.aminmax(dim=-1)
    return lowest.isfinite() & highest.isfinite()
