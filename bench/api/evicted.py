"""A context evicted by one method, and the model's answers over the evicted cache."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ... import UserError
from .messages import python_messages
from .several import names_of
from .single import text_of, whole_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..calibration.steps import Report
    from ..engine.cache import StoreCache
    from ..engine.prompt import Prompt
    from ..methods.events import Event
    from ..methods.evicted import Evicted
    from ..methods.method import Method
    from ..models.load import LoadedModel

SEPARATOR = "\n\n"
"""Between context and question in the user turn."""


@dataclass(frozen=True, eq=False, repr=False)
class EvictedContext:
    """A context whose cache was evicted, made by `Model.evict`. Any number of questions can be asked about it.

    Attributes:
        text: The context.
        token_ids: Ids of the T context tokens, including those of the chat template before the text.
        counts: int64 [L, H], tokens kept in each KV head of the layers that are evicted.
        layers: The index in the model of each of these layers [L]: all, but for layers with a sliding window and others
            that do not keep every token.
        kv_bytes: Bytes of the kept keys and values, measured on the stores; sliding windows and recurrent states are
            among them.
        kv_bytes_full: Bytes of the full cache; sliding windows and recurrent states are among them.
        events: Special cases of the eviction, such as a budget larger than the context.
    """

    text: str
    token_ids: tuple[int, ...]
    counts: "NDArray[np.int64]"
    layers: tuple[int, ...]
    kv_bytes: int
    kv_bytes_full: int
    events: "Sequence[Event]"
    _loaded: "LoadedModel"
    _method: "Method"
    _evicted: "Evicted"

    @property
    def n_tokens(self) -> int:
        """T."""
        return len(self.token_ids)

    def positions(self, layer: int, head: int) -> "NDArray[np.int64]":
        """The positions that a KV head keeps, ascending, int64 [counts[layer, head]].

        Args:
            layer: Its place in `layers`.
            head: Of the layer.

        Raises:
            IndexError: there is no such layer or head.
        """
        kept = self._evicted.selection.kept[layer]
        positions: NDArray[Any] = kept.positions.split(kept.counts[0].tolist())[head].cpu().numpy()
        return positions

    @python_messages()
    def generate(self, question: str, *, max_new_tokens: int = 64, stop: str | Iterable[str] = ()) -> str:
        """The model's answer by greedy decoding, in its chat template where it has one.

        Args:
            question: Follows the context in the same user turn.
            max_new_tokens: The most tokens of the answer.
            stop: Texts that end the answer; it is cut before them.

        Raises:
            UserError: the question is empty, does not fit the model's positions, or an argument is of another type.
        """
        from ..engine.decode import decode
        from ..engine.prompt import chat_form
        from ..engine.stop import Stop, stop_strings

        max_new_tokens = whole_number("max_new_tokens", max_new_tokens)
        if max_new_tokens < 1:
            raise UserError(f"max_new_tokens is at least 1, not {max_new_tokens}.")
        tokenizer = self._loaded.tokenizer
        strings = stop_strings(names_of(stop, "stop"), tokenizer)
        prompt = self._prompt(question)
        self._check_room(prompt.n_tokens + max_new_tokens)
        rules = Stop(
            max_new_tokens=max_new_tokens,
            eos=self._loaded.eos,
            strings=strings,
            thinking=self._loaded.thinking.behind(self._rendered(question), chat_form(tokenizer) == "chat"),
        )
        return decode(self._loaded, self._cache(), [prompt.question], rules).rows[0].text

    @python_messages()
    def log_likelihood(self, question: str, answer: str) -> float:
        """The sum of the natural log-probabilities of an answer's tokens after the question.

        Prompt and answer are tokenised as one text, as lm-eval does: at the seam the tokens may be others than those of
        the answer alone. A token with characters of both, such as a space at the prompt's end and the answer's first
        word, counts as the answer's.

        Raises:
            UserError: one of them is empty, or they do not fit the model's positions.
        """
        from ..engine.likelihood import likelihood
        from ..engine.prompt import adds_special_tokens, cut_at

        text_of("answer", answer)
        self._prompt(question)
        tokenizer, rendered = self._loaded.tokenizer, self._rendered(question)
        special = adds_special_tokens(tokenizer, rendered)
        ids, n_prompt = cut_at(tokenizer, rendered + answer, len(rendered), special)
        if n_prompt == len(ids):
            raise UserError("the answer is empty; a likelihood needs at least one token.")
        if ids[: self.n_tokens] != self.token_ids or n_prompt <= self.n_tokens:
            raise UserError("this answer changes how the question is tokenised; begin it with a letter.")
        self._check_room(len(ids))
        return likelihood(self._loaded, self._cache(), ids[self.n_tokens : -1], ids[n_prompt:]).logprob

    def _cache(self) -> "StoreCache":
        """The stores as the eviction left them, without the tokens of earlier questions."""
        cache = self._evicted.cache
        cache.take_all_back()
        return cache

    def _rendered(self, question: str) -> str:
        from ..engine.prompt import render

        return render(self._loaded.tokenizer, self.text + SEPARATOR + question)

    def _prompt(self, question: str) -> "Prompt":
        if not text_of("question", question).strip():
            raise UserError("the question is empty; ask something about the context.")
        prompt = split_context(self._loaded, self.text, question)
        if prompt.context != self.token_ids:
            raise UserError("this question changes how the end of the context is tokenised; begin it with a letter.")
        return prompt

    def _check_room(self, n_tokens: int) -> None:
        """Refuse a sequence that is too long, or whose context would be rotated differently (LongRoPE, dynamic NTK)."""
        from ..engine.rotary import shortest_alike

        check_length(self._loaded, n_tokens)
        n_sequence = self._evicted.cache.n_sequence
        if shortest_alike(self._loaded.model, n_tokens) > shortest_alike(self._loaded.model, n_sequence):
            raise UserError(
                f"context, question and answer take {n_tokens} tokens, and {self._loaded.name} rotated the context for "
                f"{n_sequence}; evict it with room={n_tokens - self.n_tokens}."
            )

    def __repr__(self) -> str:
        share = self.kv_bytes / self.kv_bytes_full
        return f"<{self._method.label}: {self.n_tokens} tokens, {share:.1%} of the KV bytes kept>"


def split_context(loaded: "LoadedModel", text: str, question: str) -> "Prompt":
    """Context and question in one user turn, tokenised once and cut where the context ends.

    Raises:
        UserError: the context is empty, or the model's template changes it.
    """
    from ..engine.prompt import render, split

    behind = SEPARATOR + question
    return split(loaded.tokenizer, render(loaded.tokenizer, text + behind), text, question=behind)


def check_length(loaded: "LoadedModel", n_tokens: int) -> None:
    """Refuse a sequence that is too long for the model.

    Raises:
        UserError: it has more tokens than the model has positions, or than a sliding window.
    """
    from ..engine.ready import refuse_sliding_window

    if n_tokens > loaded.shape.max_positions:
        raise UserError(
            f"context, question and answer take {n_tokens} tokens, and {loaded.name} has {loaded.shape.max_positions}."
        )
    refuse_sliding_window(loaded, n_tokens)


def evict_context(
    loaded: "LoadedModel", method: "Method", text: str, seed: int, room: int, report: "Report"
) -> EvictedContext:
    """Read a text and evict it. Raises as `Model.evict`."""
    import numpy as np

    from ..methods.allocation import check_budget
    from ..methods.eviction import check_methods, evict_alone, only_method
    from ..methods.profiles import with_own_profiles

    check_methods(loaded, [method])
    ids = split_context(loaded, text, "?").context
    check_length(loaded, len(ids) + 1)
    check_budget(method, loaded.shape, len(ids))
    method = with_own_profiles(method, loaded, report)
    n_sequence = min(len(ids) + room, loaded.shape.max_positions)
    with only_method(method):
        evicted = evict_alone(loaded, ids, method, seed, n_sequence)
    return EvictedContext(
        text=text,
        token_ids=ids,
        counts=np.array(evicted.selection.keep_counts, dtype=np.int64),
        layers=loaded.shape.evicted,
        kv_bytes=sum(evicted.cache.kv_bytes_by_row()),
        kv_bytes_full=evicted.full.kv_bytes,
        events=evicted.selection.events,
        _loaded=loaded,
        _method=method,
        _evicted=evicted,
    )
