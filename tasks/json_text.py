"""Reads JSON from users and data sets; every error is one sentence."""

import json
import re
from typing import Any

from .. import UserError

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""Half a character (a surrogate) in JSON. Pairs are valid, so a match only calls for a closer check."""


def read_json(where: str, text: str, halves: bool = False) -> Any:
    """The value of a JSON text; `where` begins the message of an error.

    No JSON, nested too deeply, or half a character (a lone surrogate, which no file and no tokenizer takes) is a
    UserError. A list of rows, or an object that holds one under "data", gets an error that names the row. `halves`
    allows half a character, for texts that are only compared.
    """
    try:
        value = json.loads(text)
        if not halves and _SURROGATE.search(text):
            _check_characters(where, value)
    except RecursionError:
        raise UserError(f"{where}: the JSON is nested too deeply to be read.") from None
    except json.JSONDecodeError as error:
        at = f"{where}, line {error.lineno}" if "\n" in text.strip() else where
        raise UserError(f"{at}: not valid JSON ({error.msg}, column {error.colno}).") from None
    except ValueError as error:  # a number of more digits than Python reads
        raise UserError(f"{where}: not valid JSON ({error}).") from None
    return value


def _check_characters(where: str, value: Any) -> None:
    rows = value.get("data") if isinstance(value, dict) else value
    parts = [(f"{where}, row {number}", row) for number, row in enumerate(rows if isinstance(rows, list) else [], 1)]
    for place, part in [*parts, (where, value)]:
        try:
            json.dumps(part, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            half = f"\\u{ord(error.object[error.start]):04x}"
            raise UserError(f"{place}: a text holds {half}, half a character (a lone surrogate).") from None
