"""The file of `run --config`: its keys are the options of `run`, and its values are read as they would be typed.

The file becomes the words that stand for it on the command line.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from ... import UserError
from ..api.axes import AXES, parse_axes, parse_combinations
from ..api.values import axis, model_names, whole_numbers
from ..files.access import check_readable, read_text
from ..files.yaml_nodes import Node, at, compose, elements, is_null, items, kind, scalar
from ..suggest import unknown

LARGEST = 2**20
"""Bytes of a file."""

MOST_VALUES = 10_000
"""Values of a file, those behind aliases counted each time: more would be a mistake, or meant to exhaust memory."""

COMBINATIONS = ("include", "exclude")
TEXTS = ("question",)
"""Keys whose values are texts: they may hold commas."""
SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
ALTERNATIVES = (
    frozenset({"ratio", "keep-tokens"}),
    frozenset({"samples", "data-dir"}),
    frozenset({"tasks", "data"}),
    frozenset({"batch", "max-memory"}),
)
"""Keys of which one at most is given: typed, it replaces the other."""


def axis_values(name: str, texts: Sequence[str]) -> list[Any]:
    """The values of an axis, as typed.

    Raises:
        UserError: there is none, or one is not a whole number where that is wanted.
    """
    option = "--" + name.replace("_", "-")
    if name in ("keep_tokens", "length", "seed"):
        return list(whole_numbers(option, texts))
    if name == "model":
        return list(model_names(texts))
    return list(texts) if name in ("allocator", "scorer") else list(axis(option, texts))


def combinations(option: str, texts: Sequence[str]) -> list[dict[str, list[Any]]]:
    """The combinations that a repeated `--include` or `--exclude` gives as YAML or JSON: "{allocator: a, ratio: 0.9}".

    Raises:
        UserError: a text is no mapping of axes to their values.
    """
    return [_combination(node, option, _Values()) for text in texts for node in _entries(compose(text, option), option)]


def _entries(node: Node | None, place: str) -> list[Node]:
    if node is None:
        raise UserError(f"{place} is empty; give a combination such as {{allocator: lukv, ratio: 0.9}}.")
    return elements(node)


@dataclass
class _Values:
    """Counts the values of a file."""

    n: int = field(default=0)

    def add(self, place: str) -> None:
        self.n += 1
        if self.n > MOST_VALUES:
            raise UserError(f"{place} holds more than {MOST_VALUES} values; cut it into several files.")


def _combination(node: Node, place: str, count: _Values) -> dict[str, list[Any]]:
    """One entry of `include` or `exclude`."""
    entry: dict[str, list[Any]] = {}
    for key, value, mark in items(node, place):
        name = key.replace("-", "_")
        with _placed(at(place, mark)):
            if name not in AXES:
                raise unknown("axis", key, [axis.replace("_", "-") for axis in AXES])
            entry[name] = axis_values(name, _texts(key, value, place, count))
    return entry


def _texts(key: str, node: Node, place: str, count: _Values) -> list[str]:
    """The texts of one value or a list of them."""
    texts = []
    for one in elements(node):
        text = None if is_null(one) else scalar(one)
        if text is None:
            raise UserError(f"{key} takes a value or a list of values, not {kind(one)}.")
        count.add(place)
        texts.append(text)
    if not texts:
        raise UserError(f"{key} is empty; give a value, or leave it out.")
    return texts


@contextmanager
def _placed(where: str) -> Iterator[None]:
    """Within the block, a mistake names its line, and a key instead of the option."""
    try:
        yield
    except UserError as error:
        message = str(error)
        known = message.startswith(where.partition(", line ")[0])
        raise UserError(message if known else f"{where}: {re.sub(r'--(?=[a-z])', '', message)}") from error.__cause__


@dataclass(frozen=True)
class SweepFile:
    """A file of options.

    Attributes:
        path: As typed.
        context: Of the command.
        options: Of the command, by their names without dashes.
        places: File and line of each key that was not typed, too; empty before `words`.
    """

    path: str
    context: typer.Context
    options: Mapping[str, Any]
    places: dict[str, str] = field(default_factory=dict)

    def words(self, typed: Collection[str]) -> list[str]:
        """The file as words of the command line, without the options that were typed: those win.

        Raises:
            UserError: the file cannot be read, or a key or a value is wrong; with file, line and key.
        """
        replaced = {name for group in ALTERNATIVES if group & set(typed) for name in group} | set(typed)
        words = []
        for name, these in self._read().items():
            words += these if name not in replaced else []
        for name in replaced & self.places.keys():
            del self.places[name]
        return words

    def placed(self, error: UserError) -> UserError:
        """A mistake that the command found in an option, named by the key's line if it is the file's."""
        match = re.match(r"--([a-z-]+)(?= )", str(error))
        if match is None or match[1] not in self.places:
            return error
        return UserError(f"{self.places[match[1]]}: {str(error).removeprefix('--')}")

    def _read(self) -> dict[str, list[str]]:
        """The words of every key."""
        if check_readable(Path(self.path), "--config").stat().st_size > LARGEST:
            raise UserError(f"--config {self.path} is larger than {LARGEST // 2**20} MB; a grid takes a few lines.")
        node = compose(read_text(Path(self.path), "--config"), self.path)
        if node is None:
            raise UserError(f"--config {self.path} is empty; write keys such as 'ratio: [0.8, 0.9]', or leave it out.")
        read: dict[str, list[str]] = {}
        count = _Values()
        for key, value, mark in items(node, self.path):
            name = key.replace("_", "-")
            with _placed(at(self.path, mark)):
                if name not in self.options:
                    raise unknown("key", key, self.options)
                if name in read:
                    raise UserError(f"{key!r} is the key {name!r}, which stands above already; give it once.")
                read[name] = self._words(name, value, count)
                self.places[name] = at(self.path, mark)
        return read

    def _words(self, name: str, node: Node, count: _Values) -> list[str]:
        if is_null(node):
            raise UserError(f"{name} has no value; give one, or leave the key out.")
        option = self.options[name]
        if not elements(node):
            raise UserError(f"{name} is empty; give a value, or leave the key out.")
        if name in COMBINATIONS:
            return [f"--{name}={self._entry(name, one, count)}" for one in elements(node)]
        if name in TEXTS:
            return [f"--{name}={text}" for text in _texts(name, node, self.path, count)]
        if option.multiple:
            return [f"--{name}={self._value(name, one, count)}" for one in elements(node)]
        text = scalar(node)
        if text is None:
            raise UserError(f"{name} takes one value, not {kind(node)}.")
        if option.is_flag:
            if text.lower() not in SWITCH:
                raise UserError(f"{name} is true or false, not {text!r}.")
            return [f"--{name}"] if SWITCH[text.lower()] else []
        try:
            option.process_value(self.context, text)
        except typer.BadParameter as error:
            raise UserError(f"{name}: {error.message}.") from None
        return [f"--{name}={text}"]

    def _value(self, name: str, node: Node, count: _Values) -> str:
        """A value of an axis, checked where it stands."""
        with _placed(at(self.path, node.start_mark)):
            if isinstance(node.value, list):
                raise UserError(f"{name} takes a value or a list of values, not {kind(node)} in it.")
            (text,) = _texts(name, node, self.path, count)
            key = name.replace("-", "_")
            parse_axes({key: axis_values(key, [text])})
            return text

    def _entry(self, name: str, node: Node, count: _Values) -> str:
        """A combination, checked where it stands."""
        with _placed(at(self.path, node.start_mark)):
            entry = _combination(node, self.path, count)
            parse_combinations(name, [entry])
            return json.dumps(entry, ensure_ascii=False)
