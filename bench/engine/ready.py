"""Prepare a loaded model for our stores, and refuse one that they cannot serve."""

from ... import UserError
from ...kernels.backend import Backend
from ..models.devices import Place
from ..models.load import LoadedModel, load_model
from ..models.shape import one_sentence
from .proof import prove


def ready_model(name: str, place: Place, dtype: str, thinking: bool = False, backend: Backend = "torch") -> LoadedModel:
    """Load a model, switch it to store attention and prove on a short text that its outputs are the same.

    The arguments are those of `load_model`.

    Raises:
        UserError: unknown, corrupt or unsupported model, or its weights do not fit.
    """
    return prove_attention(load_model(name, place, dtype, thinking, backend))


def prove_attention(loaded: LoadedModel) -> LoadedModel:
    """Switch a model to store attention and prove it equal to its own; the model returned has its `reach` and the
    windows of its `shape`.

    Raises:
        UserError: its attention differs, or its code fails over our cache.
    """
    with one_sentence(loaded.name, loaded.model):
        return prove(loaded)


def refuse_sliding_window(loaded: LoadedModel, n_tokens: int) -> None:
    """Refuse a sequence longer than a layer's sliding window or chunk: store attention attends to every kept token.

    Raises:
        UserError: some layer's window is shorter than the sequence.
    """
    if loaded.reach < min(n_tokens, loaded.shape.max_positions):
        raise UserError(
            f"{loaded.name} attends to a sliding window of {loaded.reach} tokens, and this sequence has {n_tokens}; "
            f"use a --length (LongBench: --max-length) of at most {loaded.reach} or another model."
        )


def longest_sequence(loaded: LoadedModel) -> int:
    """The longest sequence (context, question and answer) that store attention serves, in tokens."""
    return min(loaded.reach, loaded.shape.max_positions)
