"""The command of a run as the store keeps it: without passwords and without the folders of the machine."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ...db.local_paths import without_folders
from ..models.find import model_title
from .model import Model

if TYPE_CHECKING:
    from .grid import Grid

PATHS = ("--data", "--data-dir", "--samples")
"""Options whose value is a path. A relative path may look like a hub id, so the option decides."""

TEXTS = ("--question",)
"""Options whose value is a user's text, which is not recorded: databases are published."""

NOT_RECORDED = "(not recorded)"

SWITCHES: Mapping[str, str] = {"truncate": "--no-truncate", "baselines": "--no-baselines", "drafts": "--no-drafts"}
"""Fields of `Grid` whose option of the command line has the opposite meaning."""


def words_of(grid: "Grid") -> list[str]:
    """The options of a checked grid that differ from their defaults, as words of the command line."""
    words = []
    for field in fields(grid):
        value = getattr(grid, field.name)
        if field.name == "progress" or value == field.default:
            continue
        name = field.name.replace("_", "-")
        option = SWITCHES.get(field.name, f"--{name}")
        if isinstance(value, bool):
            words.append(f"--no-{name}" if field.default is None and not value else option)
        else:
            words += [
                word for each in (value if isinstance(value, list) else [value]) for word in (option, _word(each))
            ]
    return words


def _word(value: object) -> str:
    """A value of an option as a word; a combination as JSON."""
    if isinstance(value, Mapping):
        return json.dumps(dict(value), ensure_ascii=False, default=_plain)
    return value.name if isinstance(value, Model) else str(value)


def _plain(value: object) -> object:
    """A value of a combination that JSON does not have."""
    if isinstance(value, Model):
        return value.name
    if isinstance(value, Iterable):
        return list(value)
    return str(value)


def recorded_command(command: Sequence[str], database: str) -> list[str]:
    """The words of a command, with each path reduced to its file name.

    Args:
        command: The words, beginning with the program's path.
        database: Replaces the value of --db: a file, or a URL without its password.
    """
    kept, before = [], ""
    for word in command[1:]:
        option, equals, value = word.partition("=")
        if word.startswith("--") and equals:
            kept.append(f"{option}={_value(option, value, database)}")
        else:
            kept.append(_value(before, word, database))
        before = word
    return [os.path.basename(command[0]), *kept]


def _value(option: str, value: str, database: str) -> str:
    if option == "--db":
        return database if "://" in database else Path(database).name
    if option == "--model":
        return model_title(value)
    if option in TEXTS:
        return NOT_RECORDED
    if option in PATHS:
        return os.path.basename(os.path.abspath(os.path.expanduser(value)))
    return without_folders(value)
