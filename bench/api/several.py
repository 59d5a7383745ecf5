"""Parameters that take one value or several."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from operator import index

from ... import UserError
from .values import storable_once

Names = str | Sequence[str]
"""One name or several."""

Numbers = int | Sequence[int]
"""One whole number or several."""

Shares = float | str | Decimal | Sequence[float | str | Decimal]
"""One share or several."""


def names_of(value: Names | None) -> list[str] | None:
    """Names as a list, each once."""
    if value is None:
        return None
    return list(dict.fromkeys([value] if isinstance(value, str) else value))


def shares_of(value: Shares | None) -> list[str]:
    """Shares as they are written; none for None."""
    if value is None:
        return []
    return [str(share) for share in ([value] if isinstance(value, str) or not isinstance(value, Iterable) else value)]


def numbers_of(option: str, value: Numbers | None) -> list[int]:
    """Whole numbers, each once; none for None.

    Raises:
        UserError: one is no whole number, or one that no database holds.
    """
    if value is None:
        return []
    numbers = []
    for number in value if isinstance(value, Iterable) else [value]:
        try:
            numbers.append(index(number))
        except TypeError:
            raise UserError(f"{option} takes whole numbers such as 1024, not {number!r}.") from None
    return storable_once(option, numbers)
