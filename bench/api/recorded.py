"""The command of a run as the store keeps it: without passwords and without the folders of the machine."""

import os
from collections.abc import Sequence
from pathlib import Path

from ...db.local_paths import without_folders
from ..models.find import model_title

PATHS = ("--data-dir", "--samples")
"""Options whose value is a path, whatever it looks like: a relative one is told from a hub id by its option alone."""


def recorded_command(command: Sequence[str], database: str) -> list[str]:
    """The words typed, each path cut down to the file's own name.

    Args:
        command: The words, the program's own path first.
        database: What stands for the value of --db: a file, or a URL without its password.
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
