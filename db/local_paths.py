"""Local folders taken out of what is stored: a database is published, the folders of who wrote it are not."""

import re
from collections.abc import Mapping
from typing import Any

_SCHEME = re.compile(r"\b(file|sqlite(?:\+\w+)?):/{2,3}(?=/)")
_ROOT = r"(?:~[\w.-]*|\.{1,2})?/(?![/\s])"
_ARGUMENT = re.compile(rf"(?<=\bprofile=)[^,()]*/|(?<=\w=){_ROOT}[^,()\n]*/")
"""A plugin's arguments as its label writes them: "lukv:profile=mine/a.bin"."""
_QUOTED = re.compile(rf"""(?<=(?P<mark>['"`]))(?P<root>{_ROOT})(?P<path>[^'"`\n]*)(?=(?P=mark))""")
"""As Python's own errors write a path: it may hold spaces."""
_BARE = re.compile(rf"""(?<![\w./~-])(?P<root>{_ROOT})(?P<path>[^\s'"`<>|,;()\[\]{{}}]+)""")
_WHOLE = re.compile(rf"{_ROOT}(?!.*: ).*")
"""A JSON text that is a path and nothing else: it may hold spaces."""


def without_folders(text: str) -> str:
    """The text with each local path in it cut down to the file's own name: "/home/me/x.bin" becomes "x.bin".

    A path begins with "/", "~", "./" or "../"; unless it is quoted or an argument, it ends at a space. URLs of other
    machines stay, and so does what names no folder: "</b>", "3 /4", "/etc".
    """
    if "/" not in text:  # most texts; some are long
        return text
    text = _ARGUMENT.sub("", _SCHEME.sub(r"\1:", text))
    return _BARE.sub(_shortened, _QUOTED.sub(_shortened, text))


def publishable(value: Any) -> Any:
    """A JSON value whose texts, keys included, name no local folder."""
    if isinstance(value, str):
        return _name(value) if _WHOLE.fullmatch(value) else without_folders(value)
    if isinstance(value, Mapping):
        return {publishable(key): publishable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [publishable(item) for item in value]
    return value


def _shortened(match: re.Match[str]) -> str:
    """The path that matched without its folders; one directly below the root has none."""
    has_folder = match["root"] != "/" or "/" in match["path"].rstrip("/")
    return _name(match["path"]) if has_folder else match[0]


def _name(path: str) -> str:
    """The last part, with what a sentence puts behind a path, such as a colon."""
    return path.rstrip("/").rpartition("/")[2]
