"""Recognises files that the program itself wrote, and may overwrite."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FileKind:
    """A kind of file that the program writes.

    Attributes:
        name: With its article, for messages.
        fits: Whether a file is of this kind, judged by its first bytes.
    """

    name: str
    fits: Callable[[Path], bool]


def _is_profile(path: Path) -> bool:
    """Whether it is a safetensors file whose header names a kind of profile and its hash."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return length < 2**20 and _has(file.read(length), "__metadata__", "kind", "hash", "made")


def _is_profile_notes(path: Path) -> bool:
    with path.open("rb") as file:
        content = file.read(2**20)
    return _has(content, None, "kind", "hash", "made")


def _is_inspection(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return {"token_ids.npy", "counts.npy", "offsets.npy", "positions.npy"} <= set(archive.namelist())


def _is_cluster_map(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return {"cluster_of.npy", "column_of.npy", "page_group_size.npy"} <= set(archive.namelist())


def _is_array(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def _is_samples(path: Path) -> bool:
    with path.open("rb") as file:
        return _has(file.readline(2**26), None, "hash", "task", "ordinal")


def _is_figure(path: Path) -> bool:
    """Whether it is a picture, or a page or drawing of a Vega chart."""
    with path.open("rb") as file:
        content = file.read(2**20)
    is_drawing = content.startswith(b"<svg") and b'class="marks"' in content
    return is_drawing or content.startswith(b"\x89PNG") or b"vega" in content


def _has(content: bytes, inside: str | None, *keys: str) -> bool:
    """Whether the content is a JSON object with these keys, itself or inside one of its own."""
    value: Any = json.loads(content)
    value = value.get(inside) if inside is not None and isinstance(value, dict) else value
    return isinstance(value, dict) and set(keys) <= value.keys()


PROFILE = FileKind("a profile", _is_profile)
PROFILE_NOTES = FileKind("the description of a profile", _is_profile_notes)
INSPECTION = FileKind("an archive of inspect", _is_inspection)
CLUSTER_MAP = FileKind("a cluster map", _is_cluster_map)
ARRAY = FileKind("a NumPy array", _is_array)
FIGURE = FileKind("a figure", _is_figure)
ANY = FileKind("a file", lambda path: True)
SAMPLES = FileKind("an exported sample set", _is_samples)


def is_of_kind(path: Path, kind: FileKind) -> bool:
    """Whether an existing file is of a kind; an empty one is of any."""
    try:
        return path.stat().st_size == 0 or kind.fits(path)
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile):
        return False
