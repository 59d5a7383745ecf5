"""Files that a user names: expands paths, reads texts, and writes files atomically."""

import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ... import UserError

LARGEST_TEXT = 256 * 2**20
"""Largest text to read, in bytes."""


def user_path(path: Path | str, option: str) -> Path:
    """The path with its "~" replaced by a home folder.

    Raises:
        UserError: the path cannot exist: a missing home folder, a loop of links, a name too long.
    """
    try:
        whole = Path(path).expanduser()
        os.fsencode(whole)
        whole.resolve().exists()
    except RuntimeError as error:  # raised by pathlib for a missing home folder and for a loop of links
        reason = "its links form a loop" if "loop" in str(error) else "its home folder is not there"
        raise UserError(f"{option} {path} cannot be used: {reason}; write another path.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{option} {path} cannot be used ({_reason(error)}); write another path.") from error
    return whole


def check_readable(path: Path | str, option: str) -> Path:
    """The path of an ordinary file.

    Raises:
        UserError: it is missing, a folder, or a device or a pipe, which may have no end.
    """
    whole = user_path(path, option)
    try:
        mode = whole.stat().st_mode
    except OSError as error:
        raise UserError(f"cannot read {option} {path} ({_reason(error)}).") from error
    if stat.S_ISDIR(mode):
        raise UserError(f"{option} {path} is a folder; name a file in it.")
    if not stat.S_ISREG(mode):
        raise UserError(f"{option} {path} is a device or a pipe; write its content to a file and name that.")
    return whole


def read_text(path: Path | str, option: str) -> str:
    """A file's UTF-8 text, without a byte order mark.

    Raises:
        UserError: it cannot be read, is too large, or is not UTF-8.
    """
    whole = check_readable(path, option)
    try:
        if whole.stat().st_size > LARGEST_TEXT:
            raise UserError(f"{option} {path} is larger than {LARGEST_TEXT // 2**20} MB; cut it into smaller files.")
        return whole.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {option} {path} as UTF-8 text ({_reason(error)}).") from error


def write_whole(path: Path, option: str, write: Callable[[Path], object]) -> None:
    """Write a file atomically: beside its place, then moved there. If that fails, folders made for it are removed.

    A link is kept, and its target is written.

    Args:
        path: The place; folders above it are made.
        option: The option that named it, for messages.
        write: Writes the content to a given path with the same file name.

    Raises:
        UserError: the place cannot be written to.
    """
    new_folders: list[Path] = []
    place = path.resolve()
    try:
        new_folders = _make_folders(place.parent)
        with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
            beside = Path(scratch) / path.name
            write(beside)
            os.replace(beside, place)
    except OSError as error:
        raise UserError(f"cannot write {option} {path} ({_reason(error)}); choose another place.") from error
    finally:
        with suppress(OSError):  # a folder with a file in it stays
            for folder in new_folders:
                folder.rmdir()


def _make_folders(folder: Path) -> list[Path]:
    """Make all missing folders, or none; returns them, deepest first."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    new: list[Path] = []
    try:
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            new.insert(0, place)
    except OSError:
        with suppress(OSError):
            for place in new:
                place.rmdir()
        raise
    return new


def _reason(error: Exception) -> str:
    """The reason without the path, which the message names already."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
