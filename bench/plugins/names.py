"""Plugins by name, read from installed packages' metadata alone: nothing of a plugin is imported."""

import re
import sys
from collections.abc import Collection, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints
from importlib.metadata import entry_points as read_entry_points
from pathlib import Path

from ... import UserError
from ..suggest import unknown
from .commas import has_open_bracket, split_at_commas, unmatched_brackets
from .contract import Kind
from .plugin import Description


def registered(kind: Kind) -> dict[str, list[EntryPoint]]:
    """Name -> where it is registered; more than one place is a collision."""
    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=f"lukv_bench.{kind}s"):
        same = points.setdefault(point.name, [])
        if all(point.value != other.value for other in same):
            same.append(point)
    return points


def entry_points(group: str) -> EntryPoints:
    """What installed packages register under a group."""
    return _entry_points(group, tuple((place, _changed_ns(Path(place))) for place in sys.path))


def _changed_ns(place: Path) -> int:
    """When a package was last added to a place of the import path or removed from it."""
    return place.stat().st_mtime_ns if place.exists() else 0


@lru_cache(maxsize=2)  # a group of each kind of plugin
def _entry_points(group: str, places: tuple[tuple[str, int], ...]) -> EntryPoints:
    """A command asks for plugins a dozen times, and each reading opens a file of every installed package."""
    return read_entry_points(group=group)


def origin_of(kind: Kind, name: str, point: EntryPoint) -> Description:
    """What the metadata of its distribution say of a plugin."""
    distribution, version = distribution_of(point)
    return Description(
        kind=kind,
        name=name,
        origin=f"{distribution} {version} ({point.value})",
        distribution=distribution,
        version=version,
    )


def distribution_of(point: EntryPoint) -> tuple[str, str]:
    """(name, version) of what registered it; metadata may lack either."""
    if point.dist is None:
        return "", ""
    metadata = point.dist.metadata  # once: each look parses the file
    return str(metadata["Name"] or ""), str(metadata["Version"] or "")


def check_name(kind: Kind, spec: str) -> None:
    """Refuse a "name" or "name:key=value,..." whose name no plugin of the kind has.

    Raises:
        UserError: it has none, or it is of the other kind.
    """
    _check_registered(kind, spec, registered(kind))


def split_specs(kind: Kind, texts: Sequence[str]) -> list[str]:
    """The plugins that repeated options name, each of which may name several: "snapkv:window=64,kernel=5,keydiff".

    Raises:
        UserError: a text names none, a name is unknown, or brackets do not match.
    """
    names = registered(kind)

    def starts_plugin(before: str, rest: str) -> bool:
        """Behind a plugin's colon a comma may stand before its next argument or inside a value (a path for one):
        there only a registered name starts another plugin."""
        name = re.match(r"\s*([^\s,:=()]+)\s*(?=[,:]|$)", rest)
        return ":" not in before or (name is not None and name[1] in names)

    specs: list[str] = []
    for text in texts:
        parts = [spec.strip() for spec in split_at_commas(text, starts_plugin) if spec.strip()]
        if not parts:
            raise UserError(f"--{kind} is empty; name at least one, or leave the option out.")
        specs += parts
    for spec in specs:
        _check_registered(kind, spec, names)
        if has_open_bracket(spec):
            raise unmatched_brackets(kind, spec.partition(":")[0], spec)
    return list(dict.fromkeys(specs))


def _check_registered(kind: Kind, spec: str, names: Collection[str]) -> None:
    name = spec.partition(":")[0]
    if name in names:
        return
    other: Kind = "scorer" if kind == "allocator" else "allocator"
    if name in registered(other):
        raise UserError(f"{name!r} is no {kind}: it is one of the {other}s (--{other}).")
    raise unknown(kind, name, names)
