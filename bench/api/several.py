"""Parameters that take one value or several: any iterable but a `str`, `bytes` or a mapping gives several."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TypeVar, cast

from ... import UserError
from .single import shown, text_of, whole_number
from .values import storable_once

Names = str | Iterable[str]
"""One name or several."""

Numbers = int | Iterable[int]
"""One whole number or several."""

Shares = float | str | Decimal | Iterable[float | str | Decimal]
"""One share or several."""

T = TypeVar("T")


def read_once(value: T) -> T:
    """The value, with an iterator or generator turned into a list, so that it can be read more than once."""
    several = _several(value)
    return value if several is None else cast(T, several)


def names_of(value: Names | None, option: str = "--task") -> list[str] | None:
    """Names as a list, each once; None for None.

    Raises:
        UserError: one is not a text.
    """
    if value is None:
        return None
    return list(dict.fromkeys(text_of(option, name) for name in values_of(value)))


def shares_of(value: Shares | None) -> list[str]:
    """Shares as they are written; none for None."""
    return [] if value is None else [str(share) for share in values_of(value)]


def numbers_of(option: str, value: Numbers | None) -> list[int]:
    """Whole numbers, each once; none for None.

    Raises:
        UserError: one is no whole number, or too large for a database.
    """
    return storable_once(option, [] if value is None else [_number(option, number) for number in values_of(value)])


def _number(option: str, value: object) -> int:
    try:
        return whole_number(option, value)
    except UserError:
        raise UserError(f"{option} takes whole numbers such as 1024, not {shown(value)}.") from None


def values_of(value: object) -> list[object]:
    """One value or several as a list."""
    several = _several(value)
    return [value] if several is None else several


def _several(value: object) -> list[object] | None:
    """The values of an iterable; None for one value, which an array without dimensions is, too."""
    if isinstance(value, str | bytes | Mapping):
        return None
    try:
        iterator = iter(cast(Iterable[object], value))
    except TypeError:
        return None
    return list(iterator)
