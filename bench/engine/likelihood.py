"""How likely a text is after an eviction."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ..models.load import LoadedModel
from .cache import StoreCache
from .prefill import Context
from .rotary import rotating_for

PIECE = 512
"""Tokens fed in one pass. Attention over a chunk is chunk x cache numbers a head, so a long one is fed in pieces."""


class Likelihood(NamedTuple):
    """A text's likelihood.

    Attributes:
        logprob: Sum of its tokens' natural log-probabilities.
        is_greedy: Whether greedy decoding would have given every one of them.
    """

    logprob: float
    is_greedy: bool


def empty_context(loaded: LoadedModel, n_sequence: int) -> Context:
    """A context of no tokens, over which a sequence of `n_sequence` is fed: it is attended to in full."""
    shape = loaded.shape
    nothing = torch.empty(
        1, shape.n_kv_heads, 0, shape.head_dim, device=loaded.device, dtype=next(loaded.model.parameters()).dtype
    )
    layers = [nothing] * shape.n_layers
    return Context(keys=layers, values=layers, scores={}, failures={}, prefill_s=0.0, score_s={}, n_sequence=n_sequence)


@torch.inference_mode()
def likelihood(loaded: LoadedModel, cache: StoreCache, fed: Sequence[int], scored: Sequence[int]) -> Likelihood:
    """Feed tokens over a cache and score the last of their successors.

    Args:
        loaded: The model, switched to store attention.
        cache: Stores over the context; takes in `fed`.
        fed: Token ids fed after the context, at least as many as are scored.
        scored: Token ids; the last one follows the last of `fed`.
    """
    with rotating_for(loaded.model, cache.n_sequence, cache.n_seen(0) + len(fed)):
        return _score(loaded, cache, fed, scored)


def _score(loaded: LoadedModel, cache: StoreCache, fed: Sequence[int], scored: Sequence[int]) -> Likelihood:
    first_scored = len(fed) - len(scored)
    logprob, greedy = 0.0, True
    for start in range(0, len(fed), PIECE):
        piece = fed[start : start + PIECE]
        wanted = [i for i in range(len(piece)) if start + i >= first_scored]
        positions = torch.arange(len(piece), device=loaded.device) + cache.n_seen(0)
        logits = loaded.model(
            input_ids=torch.tensor([list(piece)], device=loaded.device),
            position_ids=positions.unsqueeze(0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=torch.tensor(wanted or [len(piece) - 1], device=loaded.device),
        ).logits[0]
        if not wanted:
            continue
        targets = torch.tensor([scored[start + i - first_scored] for i in wanted], device=loaded.device)
        logits = logits.float()
        if not bool(logits.isfinite().all()):
            raise ArithmeticError("the model's logits are not finite")
        found = logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1))
        logprob += float(found.double().sum())
        greedy = greedy and bool((logits.argmax(-1) == targets).all())
    return Likelihood(logprob, greedy)
