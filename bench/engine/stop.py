"""When generation ends, and what of it is the answer: stop strings, the first line, thoughts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..models.template import NO_THINKING, Thinking


def stop_strings(until: Any, tokenizer: Any) -> tuple[str, ...]:
    """A task's stop strings and, as in lm-eval's `hf`, the text of EOS, which a model may spell in ordinary tokens."""
    given = [until] if isinstance(until, str) else until or []
    return tuple(dict.fromkeys(str(text) for text in (*given, tokenizer.eos_token) if text))


@dataclass(frozen=True)
class Stop:
    """When generation ends.

    Attributes:
        max_new_tokens: At most so many tokens, thoughts included.
        eos: Any of these ids ends a row; it is not part of the answer.
        strings: Any of these ends a row, special tokens spelt in it included; the text is cut in front of it.
        first_line: The end of the first line that holds anything ends a row, as a stop string.
        thinking: Where it is on, thoughts neither stop a row nor are part of its text.
    """

    max_new_tokens: int
    eos: frozenset[int]
    strings: tuple[str, ...] = ()
    first_line: bool = False
    thinking: Thinking = NO_THINKING

    def reached(self, tokenizer: Any, ids: Sequence[int]) -> bool:
        """Whether what was generated so far ends here; asked after every token."""
        if self.thinking.on and self._opened(tokenizer, ids) and not self._closed(tokenizer, ids):
            return False
        if self.thinking.on:
            text, spelt = self._answer(tokenizer, ids)
        else:
            text = _decoded(tokenizer, ids) if self.first_line else ""
            spelt = _decoded(tokenizer, ids[-self._n_looked_at :], special_tokens=True) if self.strings else ""
        return any(string in spelt for string in self.strings) or self.end(text) is not None

    @property
    def _n_looked_at(self) -> int:
        """Last tokens that hold a stop string which just ended: one for each of its bytes, and a few that are empty."""
        return max(len(string.encode()) for string in self.strings) + 4

    def text(self, tokenizer: Any, ids: Sequence[int]) -> str:
        """The answer: as lm-eval's `hf` gives it, decoded without special tokens and then cut."""
        text, _ = self._answer(tokenizer, ids)
        return text[: self.end(text)]

    def end(self, text: str) -> int | None:
        """Where a text is cut, None where nothing ends it. Stop strings are cut at one after the other, as by lm-eval:
        where two overlap, the order decides."""
        cut = text
        for string in self.strings:
            cut = cut.partition(string)[0] if string else cut
        if self.first_line:
            at = cut.find("\n", len(cut) - len(cut.lstrip("\n")))
            cut = cut if at < 0 else cut[:at]
        return len(cut) if len(cut) < len(text) else None

    def events(self, tokenizer: Any, ids: Sequence[int]) -> list[dict[str, object]]:
        """What a reader of the answer must know of its thoughts."""
        if not self._opened(tokenizer, ids):
            return []
        if not self.thinking.on:
            return [{"event": "thought_unasked"}]
        return [] if self._closed(tokenizer, ids) else [{"event": "thoughts_not_closed", "n_tokens": len(ids)}]

    def _opened(self, tokenizer: Any, ids: Sequence[int]) -> bool:
        """Whether the answer begins with thoughts."""
        start = self.thinking.start
        if self.thinking.opened or not start:
            return self.thinking.opened
        return _decoded(tokenizer, ids, special_tokens=True).lstrip().startswith(start)

    def _closed(self, tokenizer: Any, ids: Sequence[int]) -> bool:
        return self.thinking.end in _decoded(tokenizer, ids, special_tokens=True)

    def _answer(self, tokenizer: Any, ids: Sequence[int]) -> tuple[str, str]:
        """What stands behind the thoughts, without special tokens and with them."""
        text, spelt = _decoded(tokenizer, ids), _decoded(tokenizer, ids, special_tokens=True)
        end = self.thinking.end
        if not self.thinking.on or end not in spelt:
            return text, spelt
        spelt = spelt.rpartition(end)[2].lstrip()
        if end in text:
            return text.rpartition(end)[2].lstrip(), spelt
        mark = tokenizer.convert_tokens_to_ids(end)  # a special token, whose place the text does not show
        behind = max((n + 1 for n, token in enumerate(ids) if token == mark), default=0)
        return _decoded(tokenizer, ids[behind:]).lstrip(), spelt


def _decoded(tokenizer: Any, ids: Sequence[int], special_tokens: bool = False) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=not special_tokens))
