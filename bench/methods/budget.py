"""Budgets: given as a pruned ratio or as tokens per head, resolved once into an exact integer."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from ... import UserError
from ...db.cache_sizes import tokens_per_head

DEFAULT_RATIO = "0.8"
"""It separates allocators on the default task, and papers report it most often."""


@dataclass(frozen=True)
class Budget:
    """How much of the cache is kept; one of the two is set, neither for the full cache.

    Attributes:
        ratio: Share of the context's tokens that is pruned, 0 <= ratio < 1, exact.
        keep_tokens: Tokens to keep in each head, on average over heads.
    """

    ratio: Decimal | None = None
    keep_tokens: int | None = None

    def per_head(self, n_tokens: int) -> int:
        """Tokens a head keeps on average: floor((1 - ratio) x T), or N but never more than T."""
        return tokens_per_head(n_tokens, self.ratio, self.keep_tokens)

    def keeps_all(self, n_tokens: int) -> bool:
        """Whether nothing is evicted because `keep_tokens` is at least the context's length."""
        return self.keep_tokens is not None and self.keep_tokens >= n_tokens

    def __str__(self) -> str:
        """As shown in tables."""
        return f"{self.keep_tokens} tokens/head" if self.ratio is None else f"{self.ratio:f}"


def parse_ratio(text: str) -> Decimal:
    """The exact decimal of a text, in [0, 1).

    Raises:
        UserError: it is not a number, or out of range.
    """
    try:
        ratio = Decimal(text.strip())
    except InvalidOperation:
        raise UserError(f"--ratio takes a number in [0, 1) such as 0.8, not {text!r}.") from None
    if not (ratio.is_finite() and 0 <= ratio < 1):
        raise UserError(f"--ratio is the share pruned, at least 0 and below 1, not {text}; 0.8 keeps a fifth.")
    return _without_trailing_zeros(ratio)


def _without_trailing_zeros(number: Decimal) -> Decimal:
    """0.80 is 0.8. Not by `normalize`, which rounds to 28 digits."""
    text = f"{number:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text) if number else Decimal(0)


def parse_budgets(ratios: Sequence[str], keep_tokens: Sequence[int]) -> list[Budget]:
    """The budgets of a command, without repeats, in the order typed.

    Raises:
        UserError: both kinds were given, or one is out of range.
    """
    if ratios and keep_tokens:
        raise UserError("give either --ratio or --keep-tokens, not both.")
    for tokens in keep_tokens:
        if tokens < 1:
            raise UserError(f"--keep-tokens takes at least 1 token per head, not {tokens}.")
    if keep_tokens:
        return [Budget(keep_tokens=tokens) for tokens in dict.fromkeys(keep_tokens)]
    return [Budget(ratio=ratio) for ratio in dict.fromkeys(parse_ratio(text) for text in ratios or [DEFAULT_RATIO])]
