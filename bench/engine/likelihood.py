"""The likelihood of a text over an evicted cache."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ..models.load import LoadedModel
from .beside import Beside, Window
from .cache import StoreCache
from .context import Context
from .feed import check_finite, feed
from .rotary import rotating_for

PIECE = 512
"""Tokens fed in one pass. It bounds the attention weights, PIECE x cached tokens for each head."""


class Likelihood(NamedTuple):
    """A text's likelihood.

    Attributes:
        logprob: Sum of its tokens' natural log-probabilities.
        is_greedy: Whether greedy decoding would have given every one of them.
    """

    logprob: float
    is_greedy: bool


def empty_context(loaded: LoadedModel, n_sequence: int) -> Context:
    """A context without tokens: tokens fed after it attend to all tokens before them."""
    shape, dtype = loaded.shape, next(loaded.model.parameters()).dtype
    size = (1, shape.n_kv_heads, 0, shape.head_dim)
    layers = [torch.empty(size, device=device, dtype=dtype) for device in loaded.layer_devices]
    windows = {
        index: torch.empty(1, one.n_kv_heads, 0, one.head_dim, device=loaded.device_of[index], dtype=dtype)
        for index, one in enumerate(shape.layers)
        if one.kind == "window"
    }
    return Context(
        keys=layers,
        values=layers,
        scores={},
        failures={},
        prefill_s=0.0,
        score_s={},
        n_sequence=n_sequence,
        beside=Beside.empty(shape.layers, {index: Window(empty, empty) for index, empty in windows.items()}),
    )


@torch.inference_mode()
def likelihood(loaded: LoadedModel, cache: StoreCache, fed: Sequence[int], scored: Sequence[int]) -> Likelihood:
    """Feed tokens over a cache and score the last of their successors.

    Args:
        loaded: The model, switched to store attention.
        cache: Stores over the context; `fed` is appended to them.
        fed: Token ids fed after the context, at least as many as are scored.
        scored: Token ids; the last one follows the last of `fed`.
    """
    with rotating_for(loaded.model, cache.n_sequence, int(cache.n_seen.max()) + len(fed)):
        return _score(loaded, cache, fed, scored)


def _score(loaded: LoadedModel, cache: StoreCache, fed: Sequence[int], scored: Sequence[int]) -> Likelihood:
    first_scored = len(fed) - len(scored)
    logprob, greedy = 0.0, True
    for start in range(0, len(fed), PIECE):
        piece = fed[start : start + PIECE]
        first = min(max(first_scored - start, 0), len(piece))
        n_scored = len(piece) - first
        logits = feed(loaded, cache, [piece], [max(n_scored, 1)]).float()  # a pass gives at least one column
        if not n_scored:
            continue
        targets = torch.tensor(scored[start + first - first_scored :][:n_scored], device=loaded.device)
        check_finite(logits)
        token_logprobs = logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1))
        logprob += float(token_logprobs.double().sum())
        greedy = greedy and bool((logits.argmax(-1) == targets).all())
    return Likelihood(logprob, greedy)
