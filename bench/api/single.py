"""Parameters of the Python API that take one value. A value of another type is refused in one sentence."""

from operator import index
from os import PathLike
from pathlib import Path
from typing import SupportsIndex, cast

from ... import UserError
from ..errors import one_line


def text_of(option: str, value: object) -> str:
    """The value, which must be a `str`.

    Raises:
        UserError: it is of another type.
    """
    if not isinstance(value, str):
        raise UserError(f"{option} takes a text, not {shown(value)}.")
    return value


def optional_text(option: str, value: object) -> str | None:
    """None, or a `str`. Raises as `text_of`."""
    return None if value is None else text_of(option, value)


def whole_number(option: str, value: object) -> int:
    """The value as an `int`; integers of NumPy and torch count, booleans do not.

    Raises:
        UserError: it is of another type.
    """
    try:
        if not isinstance(value, bool):
            return index(cast(SupportsIndex, value))
    except TypeError:
        pass
    raise UserError(f"{option} takes a whole number, not {shown(value)}.")


def auto_or_whole_number(option: str, value: object) -> str | int:
    """ "auto", or a whole number.

    Raises:
        UserError: it is neither.
    """
    if value == "auto" and isinstance(value, str):
        return value
    if isinstance(value, str):
        raise UserError(f'{option} takes "auto" or a whole number, not {shown(value)}.')
    return whole_number(option, value)


def optional_gib(option: str, value: object) -> float | None:
    """None, or a number of GiB.

    Raises:
        UserError: it is of another type.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{option} takes a number of GiB, not {shown(value)}.")
    return float(value)


def optional_number(option: str, value: object) -> int | None:
    """None, or a whole number. Raises as `whole_number`."""
    return None if value is None else whole_number(option, value)


def switch(option: str, value: object) -> bool:
    """The value, which must be a `bool`.

    Raises:
        UserError: it is of another type.
    """
    if not isinstance(value, bool):
        raise UserError(f"{option} is True or False, not {shown(value)}.")
    return value


def optional_switch(option: str, value: object) -> bool | None:
    """None, or a `bool`. Raises as `switch`."""
    return None if value is None else switch(option, value)


def optional_place(option: str, value: object) -> str | Path | None:
    """None, or a path or URL as a `str` or `Path`.

    Raises:
        UserError: it is of another type.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, PathLike):
        return Path(value)
    raise UserError(f"{option} takes a path, not {shown(value)}.")


def check_progress(value: object) -> None:
    """Refuse a `progress` that is neither a `bool` nor callable.

    Raises:
        UserError: it is of another type.
    """
    if not (isinstance(value, bool) or callable(value)):
        raise UserError(f"progress is True, False or a function, not {shown(value)}.")


def shown(value: object) -> str:
    """A value as a message shows it: one line."""
    return one_line(repr(value))
