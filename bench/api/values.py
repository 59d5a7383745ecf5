"""Parses and checks the values of options; every error is one sentence."""

from collections.abc import Sequence
from pathlib import Path

from ... import UserError
from ...db.need import MOST_SAMPLES
from ..files.access import user_path


def axis(option: str, texts: Sequence[str]) -> list[str]:
    """The values of an option that is repeated or takes values separated by commas; each once, in order.

    Raises:
        UserError: a text holds no value.
    """
    parts = [[part.strip() for part in text.split(",") if part.strip()] for text in texts]
    if not all(parts):
        raise UserError(f"{option} is empty; name at least one, or leave the option out.")
    return list(dict.fromkeys(part for some in parts for part in some))


def auto_or_number(option: str, text: str) -> str | int:
    """The value of an option that takes "auto" or a whole number.

    Raises:
        UserError: it is neither.
    """
    try:
        return text if text == "auto" else int(text)
    except ValueError:
        raise UserError(f"{option} takes auto or a whole number such as 8, not {text!r}.") from None


def model_names(texts: Sequence[str]) -> list[str]:
    """The models of a repeated --model; a folder whose own name holds a comma is one.

    Raises:
        UserError: a text names none.
    """
    names = []
    for text in texts:
        names += [text] if user_path(text, "--model").is_dir() else axis("--model", [text])
    return list(dict.fromkeys(names))


def whole_numbers(option: str, texts: Sequence[str]) -> list[int]:
    """The numbers of an axis.

    Raises:
        UserError: a part is not a whole number, or too large for a database.
    """
    numbers = []
    for part in axis(option, texts):
        try:
            numbers.append(int(part))
        except ValueError:
            raise UserError(f"{option} takes whole numbers such as 1024,2048, not {part!r}.") from None
    return storable_once(option, numbers)


def storable_once(option: str, numbers: Sequence[int]) -> list[int]:
    """Numbers, each once, in order.

    Raises:
        UserError: one is too large for a database.
    """
    for number in numbers:
        storable(option, number)
    return list(dict.fromkeys(numbers))


def samples_limit(limit: int) -> None:
    """Refuse a number of samples out of range.

    Raises:
        UserError: it is below 1, or beyond MOST_SAMPLES.
    """
    at_least_one("--limit", limit)
    if limit > MOST_SAMPLES:
        raise UserError(f"--limit takes at most {MOST_SAMPLES} samples of each task, not {limit}.")


def at_least_one(option: str, value: int) -> None:
    """Refuse a count below 1.

    Raises:
        UserError: the value is below 1.
    """
    if value < 1:
        raise UserError(f"{option} takes a number of at least 1, not {value}.")


def storable(option: str, value: int | None) -> None:
    """Refuse a number that is too large for a database.

    Raises:
        UserError: it has more than 63 bits.
    """
    if value is not None and abs(value) >= 2**63:
        raise UserError(f"{option} takes a number of at most {2**63 - 1}, not {value}.")


def one_of(option: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a word that is not one of the choices.

    Raises:
        UserError: the value is another.
    """
    if value not in choices:
        raise UserError(f"{option} is {' or '.join(choices)}, not {value!r}.")


def apart(**places: Path | None) -> None:
    """Refuse options that name the same file, which would be overwritten. Keywords are options, with `_` for `-`.

    Raises:
        UserError: two of them are one file.
    """
    options: dict[Path, str] = {}
    for name, place in places.items():
        if place is None:
            continue
        option = "--" + name.rstrip("_").replace("_", "-")
        real = user_path(place, option).resolve()
        if real in options:
            raise UserError(f"{options[real]} and {option} are the same file, {place}; give each its own.")
        options[real] = option
