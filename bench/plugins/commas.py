"""Splits texts of plugins and arguments at commas, except at commas in brackets or inside a value."""

from collections.abc import Callable

from ... import UserError
from .contract import Kind


def split_at_commas(text: str, starts_item: Callable[[str, str], bool]) -> list[str]:
    """Split at the commas outside brackets after which another item starts.

    Args:
        text: The items, separated by commas.
        starts_item: Given the item so far and the text after a comma, whether that text starts another item.
    """
    items, begin, depth = [], 0, 0
    for at, letter in enumerate(text):
        depth = _depth(depth, text, at)
        if letter == "," and not depth and starts_item(text[begin:at], text[at + 1 :]):
            items.append(text[begin:at])
            begin = at + 1
    return [*items, text[begin:]]


def has_open_bracket(text: str) -> bool:
    """Whether a bracket around an inner plugin is not closed."""
    depth = 0
    for at in range(len(text)):
        depth = _depth(depth, text, at)
    return depth > 0


def _depth(depth: int, text: str, at: int) -> int:
    """Open brackets after a character. "(" opens one after "=" or inside another; elsewhere it is part of a value."""
    if text[at] == "(" and (depth or text[at - 1 : at] == "="):
        return depth + 1
    return depth - 1 if text[at] == ")" and depth else depth


def unmatched_brackets(kind: Kind, name: str, text: str) -> UserError:
    """The error for brackets around an inner plugin that do not match."""
    return UserError(
        f"the brackets in {text!r} do not match; an inner {kind} with arguments of its own is written "
        f"{name}:...=(NAME:key=value,...)."
    )
