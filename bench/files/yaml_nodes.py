"""YAML as nodes with their lines. No object is constructed from it: a scalar is its text, so 0.80 stays 0.80."""

from collections.abc import Iterator
from typing import Protocol

import yaml

from ... import UserError
from ..errors import one_line

Node = yaml.Node

DEEPEST = 8
"""Nested lists and mappings of a file that a person wrote; deeper ones would exhaust the parser."""

_STANDARD = "tag:yaml.org,2002:"
_TAGS = frozenset(_STANDARD + name for name in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map"))


def compose(text: str, place: str) -> Node | None:
    """The only document of a text; None where there is nothing in it.

    Args:
        text: The YAML; JSON is YAML, too.
        place: Begins each error: a file's name.

    Raises:
        UserError: it is not YAML, holds several documents, is nested too deep, or has tags of its own.
    """
    try:
        _check_events(text, place)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(f"{at(place, mark)}: not YAML ({one_line(error.problem or str(error))}).") from None
    except yaml.YAMLError as error:
        raise UserError(f"{place}: not YAML ({one_line(str(error))}).") from None


def _check_events(text: str, place: str) -> None:
    """Refuse before composing, which recurses: nested collections, tags."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise UserError(f"{at(place, event.start_mark)}: nested deeper than {DEEPEST} lists and mappings.")
        tag = getattr(event, "tag", None)
        if tag not in (None, "!") and tag not in _TAGS:
            raise UserError(
                f"{at(place, event.start_mark)}: the tag {one_line(str(tag))} is not supported; leave it out."
            )


class Mark(Protocol):
    """Where something stands, whichever parser read it.

    Attributes:
        line: From 0.
    """

    line: int


def at(place: str, mark: Mark | None) -> str:
    """A line of a place, for a message."""
    return place if mark is None else f"{place}, line {mark.line + 1}"


def items(node: Node, place: str) -> Iterator[tuple[str, Node, Mark]]:
    """(key, value, where the key stands) of a mapping.

    Raises:
        UserError: it is no mapping, a key is no text, or a key stands twice, of which YAML would keep the last.
    """
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{at(place, node.start_mark)}: a mapping such as 'ratio: 0.8' is expected here.")
    lines: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(f"{at(place, key.start_mark)}: a key is a name, not a list or a mapping.")
        name = str(key.value)
        if name in lines:
            raise UserError(
                f"{at(place, key.start_mark)}: {name!r} stands on line {lines[name]} already, and YAML would keep the "
                "last alone; give it once."
            )
        lines[name] = key.start_mark.line + 1
        yield name, value, key.start_mark


def is_null(node: Node) -> bool:
    """Whether nothing is given: an empty value, null or ~."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _STANDARD + "null"


def kind(node: Node) -> str:
    """What a node is, for a message."""
    if is_null(node):
        return "nothing"
    return "a value" if isinstance(node, yaml.ScalarNode) else "a list" if is_list(node) else "a mapping"


def is_list(node: Node) -> bool:
    """Whether it is a list."""
    return isinstance(node, yaml.SequenceNode)


def scalar(node: Node) -> str | None:
    """A scalar's text as it is written; None for a list or a mapping."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def elements(node: Node) -> list[Node]:
    """The elements of a list; any other node alone."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]
