"""The tokens of a sample's context that its answer stands in."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...tasks.evidence import evidence_spans
from ..engine.prompt import Prompt, adds_special_tokens, place_of_context, tokens_of
from ..methods.events import Event
from ..methods.kept_evidence import Span
from .rendering import RenderedDocument


def evidence_tokens(
    tokenizer: Any, rendered: RenderedDocument, chat: bool, prompt: Prompt
) -> tuple[tuple[Span, ...], list[Event]]:
    """Spans in tokens of a prompt's context, and an event if truncation took tokens of them.

    A token is evidence if at least one of its characters is; one that belongs to the question is left out.

    Args:
        tokenizer: The model's.
        rendered: The document, which marks its evidence, and its prompt.
        chat: Whether the task is put in the chat template, where the tokenizer has one.
        prompt: Its tokens, cut where the context ends and perhaps in its middle.
    """
    document, text = rendered.document, rendered.prompt
    marked = evidence_spans(document)
    place = place_of_context(text, document["context"], document["question"]) if marked else None
    if place is None:
        return (), []
    whole = list(token_spans(tokenizer, text, chat, [(start + place[0], end + place[0]) for start, end in marked]))
    n_whole = len(prompt.context) + prompt.n_cut
    whole = [(min(start, n_whole), min(end, n_whole)) for start, end in whole]
    front = len(prompt.context) // 2  # as `cut_middle` parts it
    left = tuple((_moved(start, front, prompt.n_cut), _moved(end, front, prompt.n_cut)) for start, end in whole)
    n_all, n_left = n_tokens(whole), n_tokens(left)
    lost: Event = {"event": "evidence_truncated", "n_cut": n_all - n_left, "n_tokens": n_all}
    return left, [lost] if n_left < n_all else []


def token_spans(tokenizer: Any, prompt: str, chat: bool, spans: Sequence[tuple[int, int]]) -> Iterator[Span]:
    """The tokens of a rendered prompt that have at least one character of each span, which are those of the prompt."""
    offsets = tokens_of(tokenizer, prompt, adds_special_tokens(tokenizer, prompt, chat)).offsets
    first, last = np.asarray(offsets, dtype=np.int64).reshape(-1, 2).T
    for start, end in spans:
        inside = np.flatnonzero((first < end) & (last > start))
        yield (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)


def n_tokens(spans: Sequence[Span]) -> int:
    """The tokens of some spans, those of two spans counted once."""
    return len({token for start, end in spans for token in range(start, end)})


def _moved(at: int, front: int, n_cut: int) -> int:
    """Where a place in the whole context is after `n_cut` tokens behind the first `front` were cut out."""
    return at if at <= front else max(front, at - n_cut)
