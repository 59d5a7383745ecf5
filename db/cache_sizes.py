"""What the cache of one sequence takes at any length, whole and evicted."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction


def tokens_per_head(n_tokens: int, ratio: Decimal | None, keep_tokens: int | None) -> int:
    """Tokens that a head keeps of a context on average: floor((1 - ratio) x T), or N but never more than T.

    Args:
        n_tokens: T.
        ratio: The share pruned, exact.
        keep_tokens: N; both are None for the full cache.
    """
    if keep_tokens is not None:
        return min(keep_tokens, n_tokens)
    if ratio is None:
        return n_tokens
    return int((1 - Fraction(ratio)) * n_tokens)  # fractions: a Decimal product keeps 28 digits only


@dataclass(frozen=True)
class Window:
    """What a layer whose attention slides holds of a context, which no budget changes.

    Attributes:
        most_tokens: That it holds at once.
        numbers_per_token: In their keys and values.
    """

    most_tokens: int
    numbers_per_token: int


@dataclass(frozen=True)
class CacheSizes:
    """The sizes that determine the bytes of a sequence's cache.

    Attributes:
        numbers_per_token: In the keys and values of a token, in all layers that are evicted.
        itemsize: Bytes of a number.
        windows: One for each layer whose attention slides.
        state_bytes: Of recurrent states, whatever the length.
    """

    numbers_per_token: int
    itemsize: int
    windows: tuple[Window, ...] = ()
    state_bytes: int = 0

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of one token in all layers that are evicted."""
        return self.numbers_per_token * self.itemsize

    def window_bytes(self, n_tokens: int) -> int:
        """Keys and values of a context in all layers with a sliding window."""
        return self.itemsize * sum(min(n_tokens, one.most_tokens) * one.numbers_per_token for one in self.windows)

    def kept_whole_bytes(self, n_tokens: int) -> int:
        """What no budget changes: sliding windows and recurrent states."""
        return self.window_bytes(n_tokens) + self.state_bytes

    def full_bytes(self, n_tokens: int) -> int:
        """Keys and values of a whole context, sliding windows and recurrent states included."""
        return self.kept_bytes(n_tokens, n_tokens)

    def kept_bytes(self, n_tokens: int, per_head: int) -> int:
        """The same once each head keeps so many tokens on average."""
        return self.kv_bytes_per_token * per_head + self.kept_whole_bytes(n_tokens)

    def most_per_head(self, n_tokens: int, memory_bytes: int) -> int:
        """Tokens of each head that a memory holds of a context; less than 1 where it holds none."""
        return (memory_bytes - self.kept_whole_bytes(n_tokens)) // self.kv_bytes_per_token
