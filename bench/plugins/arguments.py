"""Parses a plugin's arguments from "key=value,..." to typed values, and converts them to JSON."""

import dataclasses
import math
import re
import typing
from typing import Any

from ... import UserError
from ..errors import message_of
from ..suggest import unknown
from .commas import has_open_bracket, split_at_commas, unmatched_brackets
from .contract import Kind, is_required


class NotOfTheType(Exception):
    """A value is not of the annotated type, or no value of that type can be made from a text."""


def read_arguments(kind: Kind, name: str, plugin: Any, text: str) -> dict[str, str]:
    """The arguments in a text, as texts.

    Raises:
        UserError: a part is not key=value, or an argument is unknown, given twice or missing.
    """
    fields = {f.name: f for f in dataclasses.fields(plugin) if f.init}
    typed: dict[str, str] = {}
    for part in filter(None, _parts(kind, name, text)):
        key, equals, value = part.partition("=")
        if not equals:
            raise UserError(f"arguments of the {kind} {name!r} are written key=value, not {part!r}.")
        if key not in fields:
            raise unknown(f"argument of the {kind} {name!r}", key, fields)
        if key in typed:
            raise UserError(f"the argument {key} of the {kind} {name!r} is given twice.")
        typed[key] = value
    for key, f in fields.items():
        if is_required(f) and key not in typed:
            raise UserError(f"the {kind} {name!r} needs the argument {key}; write {name}:{key}=VALUE.")
    return typed


def _parts(kind: Kind, name: str, text: str) -> list[str]:
    """The text split at commas before a key; values may contain other commas, for example in paths."""
    if has_open_bracket(text):
        raise unmatched_brackets(kind, name, text)
    return split_at_commas(text, lambda _, rest: re.match(r"\w+=", rest) is not None)


def inner_spec(kind: Kind, name: str, key: str, value: str) -> str:
    """The text of an inner plugin without its brackets.

    Raises:
        UserError: it is empty, its brackets do not match, or it has arguments and no brackets.
    """
    if value.startswith("(") and value.endswith(")"):
        value = value[1:-1]
        if not _balanced(value):
            raise unmatched_brackets(kind, name, f"({value})")
    elif not _balanced(value):
        raise unmatched_brackets(kind, name, value)
    elif ":" in value:
        raise UserError(f"arguments of an inner {kind} stand in brackets: {name}:{key}=({value}).")
    if not value.strip():
        raise UserError(f"the argument {key} of the {kind} {name!r} is empty; name a {kind}: {name}:{key}=NAME.")
    return value


def _balanced(text: str) -> bool:
    depth = 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return False
    return depth == 0


def typed_value(kind: Kind, name: str, plugin: Any, key: str, value: str) -> Any:
    """A value of the type that its field is annotated with.

    Raises:
        UserError: the text is not such a value, or not finite.
    """
    hint = typing.get_type_hints(plugin)[key]
    try:
        typed = _typed(hint, value)
    except NotOfTheType:
        raise UserError(
            f"the argument {key} of the {kind} {name!r} takes a {type_name(hint)}, not {value!r}."
        ) from None
    if isinstance(typed, float) and not math.isfinite(typed):
        raise UserError(f"the argument {key} of the {kind} {name!r} takes a finite number, not {value!r}.")
    return typed


def type_name(hint: Any) -> str:
    """A readable form of an annotation: "float", "max or avg"."""
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(map(str, typing.get_args(hint)))
    return str(getattr(hint, "__name__", hint))


def _typed(hint: Any, value: Any) -> Any:
    """A value of the annotated type, from a value or its text.

    Raises:
        NotOfTheType: there is none.
    """
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    if typing.get_origin(hint) is typing.Literal:  # of numbers, too, which pydantic takes no text for
        for option in typing.get_args(hint):
            if value in (option, str(option)):
                return option
    try:
        return TypeAdapter(hint).validate_python(value)
    except (ValidationError, PydanticUserError) as error:
        raise NotOfTheType from error


def typed_default(plugin: Any, f: "dataclasses.Field[Any]") -> Any:
    """A field's default, converted as if it was typed: `tau: float = 1` is 1.0. A default that its annotation does not
    allow is left as it is."""
    default = f.default if f.default is not dataclasses.MISSING else typing.cast(Any, f.default_factory)()
    hint = typing.get_type_hints(plugin)[f.name]
    for value in (str(plain(default)), default):
        try:
            typed = _typed(hint, value)
        except NotOfTheType:
            continue
        if typed == default:
            return typed
    return default


def default_of(plugin: Any, f: "dataclasses.Field[Any]") -> Any:
    """A field's default as plain JSON; None if it has none.

    Raises:
        UserError: it cannot be stored as JSON.
    """
    if is_required(f):
        return None
    try:
        return plain(typed_default(plugin, f))
    except (TypeError, ValueError, RecursionError) as error:
        reason = message_of(error)
        raise UserError(f"its default of {f.name} cannot be stored as JSON ({reason}); use numbers and texts") from None


def plain(value: Any) -> Any:
    """A hyper-parameter as JSON, for display, storage and hashes; NaN and infinity become words, sets are sorted.

    Raises:
        TypeError: its text, or that of a part, differs between processes.
        ValueError: it contains itself, or bytes that are not text.
    """
    from pydantic_core import to_jsonable_python

    return _finite(to_jsonable_python(_ordered(value), fallback=_text))


def _text(value: Any) -> str:
    text = str(value)
    if re.search(r"\bat 0x[0-9a-fA-F]+", text):
        raise TypeError(f"a value of type {type(value).__name__} is written with its address in memory")
    return text


def _ordered(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted((_ordered(item) for item in value), key=repr)
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return [_ordered(item) for item in value]
    if type(value) is dict:
        return {key: _ordered(item) for key, item in value.items()}
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
