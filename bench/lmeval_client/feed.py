"""Splits lm-eval's requests into a context, which is evicted, and the tokens fed after it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ... import UserError
from ..engine.decode import fed_at_most
from ..engine.ready import refuse_sliding_window
from ..engine.stop import Stop, stop_strings
from ..engine.truncate import cut_middle
from ..models.load import LoadedModel
from ..models.template import Thinking
from .arguments import Truncation

MAX_NEW_TOKENS = 256
"""Default if a task does not set it, as in lm-eval's `hf`."""

LENGTH_NAMES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""lm-eval's names for the length of an answer, in its order of precedence."""

SAMPLING = {"temperature", "top_p", "top_k", "min_p", "do_sample", "until", *LENGTH_NAMES}
"""Generation arguments that greedy decoding uses, or that do not affect it."""


@dataclass(frozen=True)
class Feed:
    """One request as token ids.

    Attributes:
        context: Token ids read before the eviction; may be empty.
        rest: Token ids fed after it; never empty.
        has_context_end: Whether the document shows where the context ends.
        n_cut: Tokens cut out of the middle of the context.
        to_come: Tokens of the answer that may be fed after the rest.
    """

    context: tuple[int, ...]
    rest: tuple[int, ...]
    has_context_end: bool
    n_cut: int = 0
    to_come: int = 0

    @property
    def n_prompt(self) -> int:
        """Tokens of context and rest."""
        return len(self.context) + len(self.rest)

    @property
    def n_sequence(self) -> int:
        """Tokens that may be fed."""
        return self.n_prompt + self.to_come


def make_feed(ids: Sequence[int], cut: int | None, least_rest: int, aware: bool) -> Feed:
    """Cut a request's tokens in two.

    Args:
        ids: All tokens to feed.
        cut: Tokens of the context; None if the document does not show it.
        least_rest: Last tokens that are fed after the eviction in any case, since their logits are needed.
        aware: Whether the question is evicted with the context.
    """
    most = len(ids) - least_rest
    end = most if aware or cut is None else min(cut, most)
    return Feed(tuple(ids[:end]), tuple(ids[end:]), has_context_end=cut is not None)


def fitted(feed: Feed, loaded: LoadedModel, to_come: int, window: int, truncation: Truncation) -> Feed:
    """A feed that fits the window together with the tokens to come.

    Raises:
        UserError: it is too long, and cannot or may not be cut.
    """
    n_tokens = feed.n_prompt + to_come
    if n_tokens > window:
        cut = cut_middle(feed.context, window - len(feed.rest) - to_come)
        if truncation == "refuse" or len(cut.ids) < 2:
            raise UserError(
                f"a prompt takes {n_tokens} tokens with its answer, and the window has {window}; give "
                "truncation=middle to cut the middle of its context, or leave such tasks out."
            )
        feed = replace(feed, context=cut.ids, n_cut=cut.n_cut)
    refuse_sliding_window(loaded, min(n_tokens, window))
    return replace(feed, to_come=fed_at_most(to_come))


def stop_of(generation: dict[str, Any], loaded: LoadedModel, thinking: Thinking) -> Stop:
    """When a generation ends.

    Args:
        generation: The task's generation arguments.
        loaded: Its EOS set, and its tokenizer.
        thinking: Of the answer to this prompt.

    Raises:
        UserError: the task asks for sampling or for unknown arguments.
    """
    foreign = sorted(set(generation) - SAMPLING)
    warm = float(generation.get("temperature") or 0.0) > 0 and generation.get("do_sample") is None
    if generation.get("do_sample") or warm or foreign:
        names = ", ".join(foreign) or "sampling"
        raise UserError(
            f"the model class lukv decodes greedily, and a task asks for {names}; give --gen_kwargs do_sample=False."
            if not foreign
            else f"the model class lukv does not know the generation arguments {names}; leave them out."
        )
    lengths = [generation[name] for name in LENGTH_NAMES if generation.get(name) is not None]
    return Stop(
        max_new_tokens=int(lengths[0]) if lengths else MAX_NEW_TOKENS,
        eos=loaded.eos,
        strings=stop_strings(generation.get("until"), loaded.tokenizer),
        thinking=thinking,
    )
