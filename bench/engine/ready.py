"""Make a loaded model ready for our stores, and refuse one that they would serve wrongly."""

from dataclasses import replace

import torch

from ... import UserError
from ..models.load import LoadedModel, load_model
from ..models.shape import one_sentence
from .proof import prove


def ready_model(name: str, device: torch.device, dtype: str, thinking: bool = False) -> LoadedModel:
    """Load a model, switch it to store attention and prove on a short text that nothing changed by it.

    Raises:
        UserError: unknown, corrupt or unsupported model.
    """
    return prove_attention(load_model(name, device, dtype, thinking))


def prove_attention(loaded: LoadedModel) -> LoadedModel:
    """Switch a model to store attention, proven equal to its own; how far it attends is known of what is returned.

    Raises:
        UserError: it attends otherwise, or its own code fails over our cache.
    """
    with one_sentence(loaded.name, loaded.model):
        return replace(loaded, reach=prove(loaded))


def refuse_sliding_window(loaded: LoadedModel, n_tokens: int) -> None:
    """Refuse a sequence that a sliding window or chunk would cut: store attention sees every kept token.

    Raises:
        UserError: some layer looks no further than the sequence is long.
    """
    if loaded.reach < min(n_tokens, loaded.shape.max_positions):
        raise UserError(
            f"{loaded.name} attends to a sliding window of {loaded.reach} tokens, and this sequence has {n_tokens}; "
            f"use a --length (LongBench: --max-length) of at most {loaded.reach} or another model."
        )


def longest_sequence(loaded: LoadedModel) -> int:
    """Tokens of context, question and answer together that store attention serves."""
    return min(loaded.reach, loaded.shape.max_positions)
