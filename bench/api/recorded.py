"""The command of a run as the store keeps it: without passwords and without the folders of the machine."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ...db.local_paths import without_folders
from ..models.find import model_title

if TYPE_CHECKING:
    from .grid import Grid

PATHS = ("--data-dir", "--samples")
"""Options whose value is a path. A relative path may look like a hub id, so the option decides."""

SWITCHES: Mapping[str, str] = {"truncate": "--no-truncate", "baselines": "--no-baselines"}
"""Fields of `Grid` whose option of the command line has the opposite meaning."""


def words_of(grid: "Grid") -> list[str]:
    """The options of a checked grid that differ from their defaults, as words of the command line."""
    words = []
    for field in fields(grid):
        value = getattr(grid, field.name)
        if field.name == "progress" or value == field.default:
            continue
        option = SWITCHES.get(field.name, "--" + field.name.replace("_", "-"))
        if isinstance(value, bool):
            words.append(option)
        elif field.name == "model":
            words += [option, value if isinstance(value, str) else value.name]
        else:
            words += [word for each in (value if isinstance(value, list) else [value]) for word in (option, str(each))]
    return words


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
    if option in PATHS:
        return os.path.basename(os.path.abspath(os.path.expanduser(value)))
    return without_folders(value)
