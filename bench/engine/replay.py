"""What a context is attended to while the model repeats it: it is fed once more, as the answer to a request."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ... import UserError
from ..models.load import LoadedModel
from .context import Context
from .evict import share
from .feed import MESSAGE, feed_pieces
from .prompt import chat_form, ids_of, render_turns
from .rotary import rotating_for

CHUNK = 2048
"""Tokens of the context that are repeated at a time; KVzip's default."""
OVERLAP = 8
"""Tokens of the part before that a later request names."""
N_SINK = 4
"""First tokens of the context that every part's attention is measured beside."""
FIRST = "\n\nRepeat the previous context exactly."
LATER = "\n\nRepeat the part of the previous context exactly, starting with"
PLACEHOLDER = "CONTEXT"


@dataclass(frozen=True)
class Part:
    """A part of the context to be repeated.

    Attributes:
        start: Its first token in the context.
        end: The token after its last.
        fed: Token ids of the request and of the part.
    """

    start: int
    end: int
    fed: tuple[int, ...]


def parts_of(tokenizer: Any, ids: Sequence[int], chunk: int = CHUNK) -> Iterator[Part]:
    """The parts of a context; the chat template before it, if it begins with that, is not repeated.

    Args:
        tokenizer: The model's.
        ids: Token ids of the context.
        chunk: The most tokens of a part.
    """
    before, after = _template(tokenizer)
    if tuple(ids[: len(before)]) != before:
        before, after = (), tuple(ids_of(tokenizer, "\n", False))
    for start in range(len(before), len(ids), chunk):
        end = min(start + chunk, len(ids))
        request = ids_of(tokenizer, FIRST if start == len(before) else LATER, False)
        begun = () if start == len(before) else ids[max(start - OVERLAP, len(before)) : start]
        yield Part(start, end, (*request, *begun, *after, *ids[start:end]))


def _template(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens that a chat template writes before and after the user's turn; none before it without a template."""
    if chat_form(tokenizer) == "plain":
        return (), tuple(ids_of(tokenizer, "\n", False))
    text = render_turns(tokenizer, [{"role": "user", "content": PLACEHOLDER}])
    before, _, after = text.partition(PLACEHOLDER)
    return tuple(ids_of(tokenizer, before, False)), tuple(ids_of(tokenizer, after, False))


class _Attention:
    """Records the largest attention that each token of a part gets from any row that repeats it."""

    def __init__(self, context: Context) -> None:
        self.largest = [keys.new_zeros(keys.shape[:3], dtype=torch.float32) for keys in context.keys]
        self._part = Part(0, 0, ())

    def begin(self, part: Part) -> None:
        """Record a part."""
        self._part = part

    def see(self, index: int, weights: Tensor, _: Tensor) -> None:
        """Record the softmax weights [1, H, G, Q, T + fed] of a layer's next rows. They are taken as if a row had seen
        the first tokens, the part and what was fed alone."""
        start, end, n_tokens = self._part.start, self._part.end, self.largest[index].shape[2]
        own = weights[..., start:end]
        seen = own.sum(dim=-1) + weights[..., : min(N_SINK, start)].sum(dim=-1) + weights[..., n_tokens:].sum(dim=-1)
        own = own / seen.clamp_min(torch.finfo(own.dtype).tiny).unsqueeze(-1)
        part = self.largest[index][..., start:end]
        torch.maximum(part, own.amax(dim=(2, 3)), out=part)


@torch.inference_mode(mode=False)  # inference tensors do not count writes
@torch.no_grad()
def read_replay(loaded: LoadedModel, context: Context, ids: Sequence[int], chunk: int = CHUNK) -> list[Tensor]:
    """Repeat a context over its full cache; see `LayerView.replay`.

    Args:
        loaded: The model, switched to store attention.
        context: Held in memory; it is not changed.
        ids: Its token ids.
        chunk: The most tokens that are repeated at a time.

    Returns:
        Per layer that is evicted, float32 [1, H, T].

    Raises:
        ArithmeticError: the attention is not finite.
        UserError: the replay does not fit beside the context, where every layer has a sliding window.
    """
    attention, parts = _Attention(context), list(parts_of(loaded.tokenizer, ids, chunk))
    _check_reach(loaded, context.n_tokens + max(len(part.fed) for part in parts))
    for part in parts:
        attention.begin(part)
        cache = share(context, 1, len(part.fed), attention.see, with_tail=True)
        # The replay is rotated as the cached keys are, also where more tokens would be rotated in another way.
        with rotating_for(loaded.model, cache.n_sequence, cache.n_sequence):
            feed_pieces(loaded, cache, part.fed)
    if not all(bool(layer.isfinite().all()) for layer in attention.largest):
        raise ArithmeticError(MESSAGE)
    return attention.largest


def _check_reach(loaded: LoadedModel, n_tokens: int) -> None:
    if loaded.reach < min(n_tokens, loaded.shape.max_positions):
        raise UserError(
            f"a replay of this context ends at token {n_tokens}, and every layer of {loaded.name} has a window of "
            f"{loaded.reach}; use a shorter context or a scorer that reads no replay."
        )
