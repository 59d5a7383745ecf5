"""Answers that were given to the same question: what continues one of them may continue another."""

from collections import Counter
from collections.abc import Sequence

FIRST = 16
"""Tokens of an answer's first draft. A later one has at most as many as the answer has so far, so that wrong drafts
cost no more than a few tokens for each that was right."""
LEAST_SHARED = 2
"""Tokens that a place elsewhere in another answer must share with the end of an incomplete one, to be a draft."""
Answer = tuple[int, ...]


class Drafts:
    """The complete answers to one question so far."""

    def __init__(self) -> None:
        self._counts: Counter[Answer] = Counter()
        self._places: dict[Answer, list[tuple[Answer, int]]] = {}
        """By `LEAST_SHARED` tokens, the answers that have them and where they first end in each."""

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
        another answer, twice as many as are shared; empty if too few are.

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
        places = self._places.get(ids[-LEAST_SHARED:], ())
        if not places:
            return []
        n_shared, answer, end = max(
            ((_shared(ids, answer, end), answer, end) for answer, end in places), key=lambda place: place[0]
        )
        return list(answer[end : end + min(most, 2 * n_shared)])


def _shared(ids: Answer, answer: Answer, end: int) -> int:
    """How many of the last tokens of `ids` are those before `end` in an answer."""
    n = 0
    while n < min(len(ids), end) and ids[-1 - n] == answer[end - 1 - n]:
        n += 1
    return n
