"""Answers that were given to the same question: what continues one of them may continue another."""

from collections import Counter
from collections.abc import Sequence

FIRST = 16
"""Tokens of an answer's first draft. A later one has at most as many as the answer has so far, so that wrong drafts
cost no more than a few tokens for each that was right."""


class Drafts:
    """The complete answers to one question so far."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, ...]] = Counter()

    def add(self, ids: Sequence[int]) -> None:
        """Add a complete answer."""
        self._counts[tuple(ids)] += 1

    def after(self, ids: Sequence[int], most: int) -> list[int]:
        """A draft of what follows the tokens of an incomplete answer: how the most frequent answer that begins with
        them goes on, the earliest among equals; empty if none does.

        Args:
            ids: The tokens so far.
            most: The most tokens that can be used.
        """
        n, prefix = len(ids), tuple(ids)
        longer = [answer for answer in self._counts if len(answer) > n and answer[:n] == prefix]
        if not longer:
            return []
        likely = max(longer, key=self._counts.__getitem__)
        return list(likely[n : n + min(most, max(FIRST, n))])
