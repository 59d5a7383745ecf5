"""Verifies that a line of an exported sample set is complete and unchanged."""

from collections.abc import Callable, Mapping
from typing import Any

from ... import UserError
from ...tasks.json_text import read_json
from ..record.hashing import content_hash


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) is int


def _is_length(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


FIELDS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("task", "version", "data_revision", "model", "context", "question", "answer_prefix"), _is_text),
    **dict.fromkeys(("prompt", "prompt_hash", "ids_hash", "generation_hash", "sample"), _is_text),
    **dict.fromkeys(("seed", "ordinal", "asked", "n", "n_prompt_tokens"), _is_number),
    **dict.fromkeys(("answers", "all_classes"), _is_texts),
    **dict.fromkeys(("generation", "more"), _is_object),
    "length": _is_length,
}
"""The fields of a line besides its hash, each with a check of its type."""


def verified(where: str, line: str) -> Mapping[str, Any]:
    """The record of a line.

    Args:
        where: File and line, for error messages.
        line: A JSON object.

    Raises:
        UserError: it is not an exported sample, was changed, or is of an earlier version.
    """
    record = read_json(where, line)
    if not isinstance(record, dict) or "hash" not in record:
        raise UserError(f"{where}: not an exported sample (an object with a hash is expected).")
    stored_hash = record.pop("hash")
    if stored_hash != _hash(where, record):
        raise UserError(f"{where}: it was changed since its export (its hash does not fit).")
    if "n" not in record:
        raise UserError(
            f"{where}: it lacks the number of samples, which earlier versions did not export; export them again."
        )
    for name, fits in FIELDS.items():
        if name not in record or not fits(record[name]):
            raise UserError(f"{where}: not an exported sample (its {name!r} is missing or of another type).")
    if not record["answers"]:
        raise UserError(f"{where}: not an exported sample (it has no answers, so nothing can be scored).")
    return record


def _hash(where: str, record: dict[str, Any]) -> str:
    try:
        return content_hash(record)
    except (ValueError, RecursionError) as error:  # Python reads NaN, which is not valid JSON
        raise UserError(f"{where}: not an exported sample ({error}).") from error
