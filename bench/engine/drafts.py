"""What an answer may go on with: what follows the same tokens in other answers to the question, the prompt or itself.

Drafts from a prompt are known as prompt lookup decoding; a small model that repeats itself is drafted from its answer.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice

FIRST = 16
"""Tokens of an answer's first draft. A later one has at most as many as the answer has so far, so that wrong drafts
cost no more than a few tokens for each that was right."""
LEAST_SHARED = 2
"""Tokens that a place elsewhere must share with the end of an incomplete answer, for what follows it to be a draft."""
Answer = tuple[int, ...]
Place = tuple[Answer, int]
"""A text and the end of a run of tokens in it."""


class Drafts:
    """The complete answers to one question so far, and its prompt.

    Args:
        prompt: Token ids of the context and the question.
    """

    def __init__(self, prompt: Sequence[int] = ()) -> None:
        self._counts: Counter[Answer] = Counter()
        self._places: dict[Answer, list[Place]] = {}
        """By `LEAST_SHARED` tokens, the answers that have them, where they first end in each."""
        self._prompt = tuple(prompt)
        self._prompt_ends = {
            self._prompt[end - LEAST_SHARED : end]: end for end in range(LEAST_SHARED, len(self._prompt))
        }
        """By `LEAST_SHARED` tokens, where they last end in the prompt."""

    def add(self, ids: Sequence[int]) -> None:
        """Add a complete answer."""
        answer = tuple(ids)
        if answer not in self._counts:
            ends = {answer[end - LEAST_SHARED : end]: end for end in range(len(answer) - 1, LEAST_SHARED - 1, -1)}
            for shared, end in ends.items():
                self._places.setdefault(shared, []).append((answer, end))
        self._counts[answer] += 1

    def after(self, ids: Sequence[int], most: int) -> list[int]:
        """A draft of what follows the tokens of an incomplete answer: how the most frequent answer that begins with
        them goes on, the earliest among equals. If none does, what follows the longest run of their last tokens in
        themselves, another answer or the prompt, twice as many as are shared; empty if too few are.

        Args:
            ids: The tokens so far.
            most: The most tokens that can be used.
        """
        n, prefix = len(ids), tuple(ids)
        longer = [answer for answer in self._counts if len(answer) > n and answer[:n] == prefix]
        if not longer:
            return self._elsewhere(prefix, most)
        likely = max(longer, key=self._counts.__getitem__)
        return list(likely[n : n + min(most, max(FIRST, n))])

    def _elsewhere(self, ids: Answer, most: int) -> list[int]:
        places = self._places_of(ids)
        if not places:
            return []
        n_shared = [_shared(ids, *place) for place in places]
        longest = max(n_shared)
        text, end = places[n_shared.index(longest)]
        return list(text[end : end + min(most, 2 * longest, max(FIRST, len(ids)))])

    def _places_of(self, ids: Answer) -> list[Place]:
        """Where the last tokens of an answer end elsewhere: one place at most in it, each other and the prompt."""
        last = ids[-LEAST_SHARED:]
        if len(last) < LEAST_SHARED:
            return []
        repeated = (end for end in range(len(ids) - 1, LEAST_SHARED - 1, -1) if ids[end - LEAST_SHARED : end] == last)
        own = [((*ids, *islice(cycle(ids[end:]), len(ids))), end) for end in islice(repeated, 1)]  # repeated once more
        prompt = [(self._prompt, self._prompt_ends[last])] if last in self._prompt_ends else []
        return own + self._places.get(last, []) + prompt


def _shared(ids: Answer, text: Answer, end: int) -> int:
    """How many of the last tokens of `ids` are those before `end` in a text."""
    n = 0
    while n < min(len(ids), end) and ids[-1 - n] == text[end - 1 - n]:
        n += 1
    return n
