"""When generation ends and which part of the text is the answer: stop strings, the first line, thoughts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..models.template import NO_THINKING, Thinking


def stop_strings(until: Any, tokenizer: Any) -> tuple[str, ...]:
    """A task's stop strings and, as in lm-eval's `hf`, the text of EOS, which a model may write in ordinary tokens."""
    strings = [until] if isinstance(until, str) else until or []
    return tuple(dict.fromkeys(str(string) for string in (*strings, tokenizer.eos_token) if string))


@dataclass(frozen=True)
class Stop:
    """When generation ends.

    Attributes:
        max_new_tokens: The most tokens generated, thoughts included.
        eos: Any of these ids ends a row; it is not part of the answer.
        strings: Any of these ends a row, also as the text of a special token; the answer ends before it.
        first_line: The end of the first line that is not empty ends a row, as a stop string.
        thinking: While it is on, thoughts do not stop a row and are not part of its text.
    """

    max_new_tokens: int
    eos: frozenset[int]
    strings: tuple[str, ...] = ()
    first_line: bool = False
    thinking: Thinking = NO_THINKING

    def reached(self, tokenizer: Any, ids: Sequence[int]) -> bool:
        """Whether the row ends with the last of its tokens; called after every token."""
        if self.thinking.on and self._has_thoughts(tokenizer, ids) and not self._thoughts_ended(tokenizer, ids):
            return False
        if self.thinking.on:
            text, raw = self._answer(tokenizer, ids)
        else:
            text = _decoded(tokenizer, ids) if self.first_line else ""
            raw = _decoded(tokenizer, ids[-self._n_last :], special_tokens=True) if self.strings else ""
        return any(string in raw for string in self.strings) or self.end(text) is not None

    @property
    def _n_last(self) -> int:
        """The most last tokens that can hold a stop string: one per byte, and a few empty ones."""
        return max(len(string.encode()) for string in self.strings) + 4

    def text(self, tokenizer: Any, ids: Sequence[int]) -> str:
        """The answer, as lm-eval's `hf` returns it: decoded without special tokens, then cut."""
        text, _ = self._answer(tokenizer, ids)
        return text[: self.end(text)]

    def end(self, text: str) -> int | None:
        """Index at which a text is cut; None if nothing ends it.

        As in lm-eval, the text is cut at one stop string after the other, so the order decides where two overlap.
        """
        cut = text
        for string in self.strings:
            cut = cut.partition(string)[0] if string else cut
        if self.first_line:
            at = cut.find("\n", len(cut) - len(cut.lstrip("\n")))
            cut = cut if at < 0 else cut[:at]
        return len(cut) if len(cut) < len(text) else None

    def events(self, tokenizer: Any, ids: Sequence[int]) -> list[dict[str, object]]:
        """Events about the answer's thoughts."""
        if not self._has_thoughts(tokenizer, ids):
            return []
        if not self.thinking.on:
            return [{"event": "thought_unasked"}]
        return [] if self._thoughts_ended(tokenizer, ids) else [{"event": "thoughts_not_closed", "n_tokens": len(ids)}]

    def _has_thoughts(self, tokenizer: Any, ids: Sequence[int]) -> bool:
        """Whether the answer begins with thoughts."""
        start = self.thinking.start
        if self.thinking.opened or not start:
            return self.thinking.opened
        return _decoded(tokenizer, ids, special_tokens=True).lstrip().startswith(start)

    def _thoughts_ended(self, tokenizer: Any, ids: Sequence[int]) -> bool:
        return self.thinking.end in _decoded(tokenizer, ids, special_tokens=True)

    def _answer(self, tokenizer: Any, ids: Sequence[int]) -> tuple[str, str]:
        """The text after the thoughts, without special tokens and with them."""
        text, raw = _decoded(tokenizer, ids), _decoded(tokenizer, ids, special_tokens=True)
        end = self.thinking.end
        if not self.thinking.on or end not in raw:
            return text, raw
        raw = raw.rpartition(end)[2].lstrip()
        if end in text:
            return text.rpartition(end)[2].lstrip(), raw
        end_id = tokenizer.convert_tokens_to_ids(end)  # a special token, which the text does not contain
        start = max((n + 1 for n, token in enumerate(ids) if token == end_id), default=0)
        return _decoded(tokenizer, ids[start:]).lstrip(), raw


def _decoded(tokenizer: Any, ids: Sequence[int], special_tokens: bool = False) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=not special_tokens))
